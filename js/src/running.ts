/** Work in steps: what a caller is told meanwhile, and how it ends the work. */

import { CancelledError } from "./errors";
import type { Steps } from "./signals/networks";

const PAUSE = 16; // milliseconds of work between pauses, in which messages arrive

/** What long work tells, and asks. */
export interface Control {
  /** Called with the share that is done, 0 .. 1. */
  readonly progress?: (share: number) => void;
  /** Asked between tiles; where it is true, the work ends in a `CancelledError`. */
  readonly cancelled?: () => boolean;
}

/** The result of work. */
export function run<R>(steps: Steps<R>, control: Control = {}): R {
  for (;;) {
    const step = next(steps, control);
    if (step.done) return step.value;
  }
}

/** The result of work, with pauses in which other events of the thread have their turn. */
export async function runWithPauses<R>(steps: Steps<R>, control: Control = {}): Promise<R> {
  for (let began = Date.now(); ;) {
    const step = next(steps, control);
    if (step.done) return step.value;
    if (Date.now() - began >= PAUSE) {
      await new Promise((resolve) => setTimeout(resolve));
      began = Date.now();
    }
  }
}

function next<R>(steps: Steps<R>, { progress, cancelled }: Control): IteratorResult<number, R> {
  if (cancelled?.()) throw new CancelledError("cancelled");
  const step = steps.next();
  if (!step.done) progress?.(step.value);
  return step;
}
