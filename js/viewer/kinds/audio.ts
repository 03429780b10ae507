/** Sounds: a player, the waveform, and the spectrogram. */

import { draw, make } from "../elements";
import type { Content } from "../protocol";
import type { Shown, Stage } from "../show";
import { viridis } from "./planes";

const WIDTH = 1200, HEIGHT = 160, WINDOW = 1024, DECIBELS = 90;

export function showAudio({ element, decoder, progress, problem }: Stage, { rate, frames, channels }: Extract<Content, { kind: "audio" }>): Shown {
  const wave = make("canvas", { className: "wave", role: "img", "aria-label": "Waveform" });
  const spectrum = make("canvas", { className: "wave", role: "img", "aria-label": "Spectrogram" }), head = make("span", { className: "head" });
  const play = make("button", { type: "button", disabled: true }, "Play"), time = make("output", { className: "where" });
  const screen = make("div", { className: "sound", tabIndex: 0, role: "slider", "aria-label": "Position", "aria-valuemin": 0, "aria-valuemax": frames / rate }, wave, spectrum, head);
  element.replaceChildren(screen, make("div", { className: "controls" }, play, time,
    make("span", { className: "quiet" }, `spectrogram: 0 to ${rate / 2000} kHz, the loudest ${DECIBELS} dB`)));
  const context = new AudioContext(), seconds = frames / rate;
  let buffer: AudioBuffer | undefined, source: AudioBufferSourceNode | undefined, from = 0, begun = 0, frame = 0;
  tell(0);
  decoder.ask("sound", {}, { progress }).then((sound) => {
    progress(undefined);
    buffer = new AudioBuffer({ length: frames, sampleRate: Math.min(Math.max(sound.rate, 8000), 96000), numberOfChannels: channels });
    sound.channels.forEach((samples, channel) => buffer!.copyToChannel(samples, channel));
    drawWave(wave, sound.channels);
    drawSpectrum(spectrum, sound.channels[0]);
    play.disabled = false;
    element.dataset.done = "true";
  }, problem);

  const at = () => (source ? Math.min(from + (context.currentTime - begun) * ((buffer?.sampleRate ?? rate) / rate), seconds) : from);

  function tell(place: number): void {
    head.style.left = `${(100 * place) / seconds}%`;
    time.value = `${place.toFixed(2)} of ${seconds.toFixed(2)} s`;
    screen.setAttribute("aria-valuenow", place.toFixed(2));
  }

  function start(): void {
    if (buffer === undefined) return;
    source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.onended = () => at() >= seconds - 0.05 && halt(0);
    begun = context.currentTime;
    void context.resume();
    source.start(0, (from * rate) / buffer.sampleRate);
    play.textContent = "Pause";
    const move = () => {
      tell(at());
      frame = requestAnimationFrame(move);
    };
    move();
  }

  function halt(place = at()): void {
    cancelAnimationFrame(frame);
    if (source) source.onended = null;
    source?.stop();
    source = undefined;
    from = place;
    play.textContent = "Play";
    tell(place);
  }

  function seek(place: number): void {
    const running = source !== undefined;
    halt(Math.min(Math.max(place, 0), seconds));
    if (running) start();
  }

  play.addEventListener("click", () => (source ? halt() : start()));
  screen.addEventListener("click", (event) => seek((event.offsetX / screen.clientWidth) * seconds));
  screen.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step !== undefined) seek(at() + step * (seconds / 50));
    if (event.key === " ") play.click();
  });
  return {
    close: () => {
      halt();
      void context.close();
    },
  };
}

/** Least and largest sample in each column. */
function drawWave(canvas: HTMLCanvasElement, channels: readonly Float32Array[]): void {
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext("2d")!, each = HEIGHT / channels.length;
  context.fillStyle = getComputedStyle(canvas).color;
  channels.forEach((samples, channel) => {
    for (let x = 0; x < WIDTH; x++) {
      const [start, stop] = [x, x + 1].map((edge) => Math.floor((edge * samples.length) / WIDTH));
      const some = samples.subarray(Math.max(start - 1, 0), Math.max(stop, start + 1)); // from the last one on: columns join
      let low = 1, high = -1;
      for (const sample of some) {
        low = Math.min(low, sample);
        high = Math.max(high, sample);
      }
      const y = (value: number) => (channel + 0.5 - value / 2) * each;
      context.fillRect(x, y(high), 1, Math.max(1, y(low) - y(high)));
    }
  });
}

/** Decibels by time and frequency, of windows of `WINDOW` samples under a raised cosine. */
function drawSpectrum(canvas: HTMLCanvasElement, samples: Float32Array): void {
  const half = WINDOW / 2, data = new Uint8ClampedArray(4 * WIDTH * half), re = new Float64Array(WINDOW), im = new Float64Array(WINDOW);
  const columns = Array.from({ length: WIDTH }, (_, x) => {
    const start = Math.round(((x + 0.5) * samples.length) / WIDTH - half);
    for (let i = 0; i < WINDOW; i++) re[i] = (samples[start + i] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));
    im.fill(0);
    transform(re, im);
    return Float64Array.from({ length: half }, (_, k) => 10 * Math.log10(re[k] ** 2 + im[k] ** 2 + 1e-12));
  });
  const most = columns.reduce((found, column) => Math.max(found, ...column), -120);
  columns.forEach((column, x) => column.forEach((level, k) => {
    const at = 4 * ((half - 1 - k) * WIDTH + x);
    data.set(viridis(Math.min(Math.max(1 + (level - most) / DECIBELS, 0), 1)), at);
    data[at + 3] = 255;
  }));
  draw(canvas, { width: WIDTH, height: half, data });
}

/** The discrete Fourier transform of a power of two of complex numbers, in place (Cooley and Tukey 1965). */
function transform(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j], im[i], im[j]] = [re[j], re[i], im[j], im[i]];
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let start = 0; start < n; start += size) {
      for (let k = 0; k < size / 2; k++) {
        const angle = (-2 * Math.PI * k) / size, [c, s] = [Math.cos(angle), Math.sin(angle)], a = start + k, b = a + size / 2;
        const [x, y] = [re[b] * c - im[b] * s, re[b] * s + im[b] * c];
        [re[b], im[b], re[a], im[a]] = [re[a] - x, im[a] - y, re[a] + x, im[a] + y];
      }
    }
  }
}
