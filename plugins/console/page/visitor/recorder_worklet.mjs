/** The thread of the microphone: sends its samples to the page, 1,024 at a time. */

const scope = /** @type {any} */ (globalThis); // TypeScript has no types for the scope of worklets
/** @type {new () => {port: MessagePort}} */
const Processor = scope.AudioWorkletProcessor;
const BLOCK = 1024;

class Collector extends Processor {
  block = new Float32Array(BLOCK);
  filled = 0;

  /** @param {Float32Array[][]} inputs */
  process([[samples]]) {
    if (!samples) return true; // the microphone has not begun
    for (const sample of samples) {
      this.block[this.filled++] = sample;
      if (this.filled === BLOCK) {
        this.port.postMessage(this.block);
        this.filled = 0;
      }
    }
    return true;
  }
}

scope.registerProcessor("collector", Collector);
