/** Scenes: views around them, coarse while they turn and fine when they rest. */

import { isCancelled } from "../decoder";
import { draw, Latest, make, slider } from "../elements";
import type { Content } from "../protocol";
import type { Shown, Stage } from "../show";

const VIEWS = 72, COARSE = 64, PAUSE = 300;

export function showRadiance({ element, decoder, progress, problem }: Stage, { height, width }: Extract<Content, { kind: "radiance" }>): Shown {
  const canvas = make("canvas", { className: "screen", tabIndex: 0, role: "img", "aria-label": "View of the scene; turn it by dragging or by arrows" }), latest = new Latest();
  const turn = slider("turn", VIEWS - 1, 0, (at) => `${(360 / VIEWS) * at}°`, go);
  let at = 0, timer = 0, dragged: { x: number; at: number } | undefined;
  canvas.style.aspectRatio = `${width} / ${height}`;
  element.replaceChildren(canvas, make("div", { className: "controls" }, turn));
  go(0);

  function go(place: number): void {
    at = ((place % VIEWS) + VIEWS) % VIEWS;
    turn.querySelector("input")!.value = String(at);
    turn.querySelector("output")!.value = `${(360 / VIEWS) * at}°`;
    window.clearTimeout(timer);
    void view(Math.min(1, COARSE / Math.max(width, height)));
    timer = window.setTimeout(() => void view(1), PAUSE);
  }

  async function view(scale: number): Promise<void> {
    try {
      draw(canvas, await decoder.ask("view", { at, of: VIEWS, scale }, { signal: latest.next(), progress: scale === 1 ? progress : undefined }));
      if (scale === 1) progress(undefined);
      element.dataset.done = String(scale);
    } catch (reason) {
      if (!isCancelled(reason)) problem(reason);
    }
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    dragged = { x: event.clientX, at };
  });
  canvas.addEventListener("pointermove", ({ clientX }) => {
    if (dragged === undefined) return;
    const place = dragged.at + Math.round(((clientX - dragged.x) / canvas.clientWidth) * VIEWS);
    if (place !== at) go(place);
  });
  for (const end of ["pointerup", "pointercancel"] as const) canvas.addEventListener(end, () => (dragged = undefined));
  canvas.addEventListener("keydown", ({ key }) => {
    if (key === "ArrowLeft") go(at - 1);
    if (key === "ArrowRight") go(at + 1);
  });
  return { close: () => window.clearTimeout(timer) };
}
