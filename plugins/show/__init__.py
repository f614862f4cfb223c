"""Events over a WebSocket for TouchDesigner and every other client that plays the waves."""
