/** The page's end of the worker that decodes a file. */

import DecodingWorker from "./worker?worker&inline";
import type { Answer, Ask, FromWorker, Job, Source, Summary, ToWorker } from "./protocol";

/** What the caller of a job hears meanwhile. */
export interface Listening {
  /** Ends the work; the promise is rejected with its reason. */
  readonly signal?: AbortSignal;
  readonly progress?: (share: number) => void;
}

interface Waiting extends Listening {
  resolve(answer: never): void;
  reject(reason: unknown): void;
  step?(summary: Summary): void;
}

/** A file that a worker decodes. */
export class Decoder {
  private readonly worker = new DecodingWorker();
  private readonly waiting = new Map<number, Waiting>();
  private last = 0;

  constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.hear(data);
    this.worker.onerror = ({ message }) => {
      for (const { reject } of this.waiting.values()) reject(new Error(message || "the decoder stopped"));
      this.waiting.clear();
    };
  }

  /** Opens a file; `step` is told of each state of a progressive file before the last one. */
  open(source: Source, step?: (summary: Summary) => void): Promise<Summary> {
    return this.ask("open", source, {}, step);
  }

  /** Has a job done; an `Error` with one line for people where that fails. */
  ask<J extends Job>(job: J, ask: Ask<J>, listening: Listening = {}, step?: (summary: Summary) => void): Promise<Answer<J>> {
    const { signal } = listening, number = ++this.last;
    return new Promise<Answer<J>>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener("abort", () => {
        if (!this.waiting.delete(number)) return;
        this.send({ cancel: number });
        reject(signal.reason);
      }, { once: true });
      this.waiting.set(number, { ...listening, resolve, reject, step });
      this.send({ number, job, ask } as ToWorker);
    });
  }

  /** Ends the worker; nothing is answered any more. */
  close(): void {
    this.worker.terminate();
    this.waiting.clear();
  }

  private send(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  private hear(message: FromWorker): void {
    const waiting = this.waiting.get(message.number);
    if (waiting === undefined) return;
    if ("progress" in message) return waiting.progress?.(message.progress);
    if ("step" in message) return waiting.step?.(message.step);
    this.waiting.delete(message.number);
    if ("answer" in message) waiting.resolve(message.answer as never);
    else waiting.reject(new Error("error" in message ? message.error : "cancelled"));
  }
}

/** Whether a job ended because it was not needed any more. */
export function isCancelled(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === "AbortError";
}
