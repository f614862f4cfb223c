/** The sound of an utterance: voice and waves as curves and spectrograms, to play and to download. */

import { html } from "htm/preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { ApiError, audioUrl, peaksOf } from "../api.mjs";
import { Axis } from "./axis.mjs";
import { load, usePlayer } from "./player.mjs";
import { Spectrogram } from "./spectrogram.mjs";
import { Waveform } from "./waveform.mjs";

const PEAKS = 800;
const VOICE = { title: "Voice", colors: [[255, 255, 255]], fmax: 5000, windowS: 0.025 };
const WAVES = { title: "Waves", colors: [[70, 170, 255], [255, 150, 40], [90, 255, 120]], fmax: 250, windowS: 0.3 };

/** What a file is called: a wave by another profile than V3 with the profile's name. @param {string} path */
function nameOf(path) {
  const [, profile, number] = path.match(/_([a-z][a-z0-9]*)_wave(\d)\.wav$/) ?? [];
  return !profile ? "Voice" : profile === "v3" ? `Wave ${number}` : `${profile} ${number}`;
}

/** @param {{name: string, speech: string, waves: string[], onGone: () => void}} props `name` begins the files' names */
export function Sound({ name, speech, waves, onGone }) {
  const paths = [speech, ...waves];
  const names = paths.map(nameOf);
  const [peaks, setPeaks] = useState(/** @type {(import("./waveform.mjs").Peaks)[]} */ ([]));
  const [tracks, setTracks] = useState(/** @type {AudioBuffer[]} */ ([]));
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const fail = (/** @type {Error} */ error) => {
      setProblem(error.message);
      if (error instanceof ApiError && error.status === 404) onGone();
    };
    Promise.all(paths.map((path) => peaksOf(path, PEAKS))).then(setPeaks, fail);
    Promise.all(paths.map(load)).then(setTracks, fail);
  }, [paths.join()]);
  const seconds = Math.max(0.1, ...peaks.map((one) => one.durationS));
  const player = usePlayer(seconds);
  const voice = useMemo(() => tracks.slice(0, 1), [tracks]);
  const three = useMemo(() => tracks.slice(1, 4), [tracks]);
  if (problem) return html`<p role="alert" class="bad">${problem}</p>`;
  if (!peaks.length) return html`<p class="muted">Loading …</p>`;

  const loudest = (/** @type {number[]} */ samples) => samples.reduce((a, b) => Math.max(a, Math.abs(b)), 0.001);
  const full = peaks.map(({ min, max }) => loudest([...min, ...max]));
  const edges = [full[0], ...full.slice(1).fill(Math.max(...full.slice(1)))];
  return html`<div class="sound" style=${{ "--playhead": player.position / seconds }}>
    <div class="buttons">
      <button class="main" disabled=${!voice.length} onClick=${() => player.play(voice)}>Play voice</button>
      <button class="main" disabled=${!three.length} onClick=${() => player.play(three)}>Play waves</button>
      <button disabled=${!player.isPlaying} onClick=${player.stop}>Stop</button>
    </div>
    <div class="lanes">
      ${peaks.map((one, n) => html`<div class="lane wave-${n}" key=${n}><span class="label">${names[n]}</span>
        <${Waveform} name=${names[n]} peaks=${one} seconds=${seconds} full=${edges[n]} />
      </div>`)}
      <input type="range" min="0" max=${seconds} step="0.1" value=${player.position} aria-label="Position in seconds"
        onInput=${(/** @type {any} */ event) => player.seek(Number(event.currentTarget.value))} />
      <${Axis} length=${seconds} unit="s" />
    </div>
    ${tracks.length > 0 && html`<div class="spectrograms">
      <${Spectrogram} ...${VOICE} tracks=${voice} seconds=${seconds} />
      ${waves.length > 0 && html`<${Spectrogram} ...${WAVES} tracks=${three} seconds=${seconds} />`}
    </div>`}
    <p class="downloads">Download: ${paths.map((path, n) => html`<a href=${audioUrl(path)}
      download="${name}_${path.split("/").slice(-2).join("_")}">${names[n].toLowerCase()}</a>`)}</p>
  </div>`;
}
