/** Videos: frames by time. */

import { isCancelled } from "../decoder";
import { Latest, make, slider } from "../elements";
import type { Content } from "../protocol";
import type { Shown, Stage } from "../show";

const KEPT = 600; // frames

export function showVideo({ element, decoder, problem }: Stage, { frames, height, width, fps }: Extract<Content, { kind: "video" }>): Shown {
  const canvas = make("canvas", { className: "screen", role: "img", "aria-label": "Frame of the video" }), play = make("button", { type: "button" }, "Play");
  const known = new Map<number, ImageBitmap>(), latest = new Latest(), say = (at: number) => `${(at / fps).toFixed(2)} s`;
  let now = 0, timer = 0;
  canvas.style.aspectRatio = `${width} / ${height}`;
  const time = slider("time", frames - 1, 0, say, (at) => {
    stop();
    void go(at);
  });
  element.replaceChildren(canvas, make("div", { className: "controls" }, play, time));
  play.addEventListener("click", () => (timer ? stop() : start()));
  void go(0);

  /** Shows a frame, rendered before it where it is not known. */
  async function go(at: number): Promise<void> {
    now = at;
    time.querySelector("input")!.value = String(at);
    time.querySelector("output")!.value = say(at);
    try {
      let frame = known.get(at);
      if (frame === undefined) {
        const { data, width: w, height: h } = await decoder.ask("frame", { at }, { signal: latest.next() });
        known.set(at, (frame = await createImageBitmap(new ImageData(data, w, h))));
        if (known.size > KEPT) known.delete(known.keys().next().value!);
      }
      canvas.width = frame.width;
      canvas.height = frame.height;
      canvas.getContext("2d")!.drawImage(frame, 0, 0);
      element.dataset.done = String(at);
    } catch (reason) {
      if (!isCancelled(reason)) problem(reason);
    }
  }

  function start(): void {
    play.textContent = "Pause";
    const next = async (): Promise<void> => {
      const begun = performance.now();
      await go((now + 1) % frames);
      if (timer) timer = window.setTimeout(() => void next(), Math.max(0, 1000 / fps - (performance.now() - begun)));
    };
    timer = window.setTimeout(() => void next(), 0);
  }

  function stop(): void {
    window.clearTimeout(timer);
    timer = 0;
    play.textContent = "Play";
  }

  return { close: stop };
}
