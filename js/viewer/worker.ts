/** The decoder in a worker: does the jobs of the protocol, one after the other. */

import { CancelledError } from "../src/errors";
import { type Host, JOBS, open } from "./jobs";
import type { Answer, Ask, FromWorker, Job, Source, ToWorker } from "./protocol";

/** What a worker's global object offers; the types of pages have another one. */
const scope = self as unknown as {
  postMessage(message: FromWorker, transfer: Transferable[]): void;
  onmessage: (event: MessageEvent<ToWorker>) => void;
};

const cancelled = new Set<number>();
let file: Host | undefined;
let last: Promise<void> = Promise.resolve();

scope.onmessage = ({ data }) => {
  if ("cancel" in data) cancelled.add(data.cancel);
  else if (data.job === "open") void begin(data.number, data.ask);
  else last = last.then(() => work(data.number, data.job as Exclude<Job, "open">, data.ask));
};

/** Opens a file, meanwhile what is there of it can be rendered. */
async function begin(number: number, source: Source): Promise<void> {
  await answering(number, () => open(source, (host, summary) => {
    file = host;
    send({ number, step: summary });
  }).then(([host, summary]) => {
    file = host;
    return summary;
  }));
}

function work<J extends Exclude<Job, "open">>(number: number, job: J, ask: Ask<J>): Promise<void> {
  return answering(number, () => {
    if (file === undefined) throw new Error("no file is open");
    return JOBS[job](file, ask, {
      cancelled: () => cancelled.has(number),
      progress: (progress) => send({ number, progress }),
    });
  });
}

async function answering(number: number, act: () => Promise<Answer<Job>>): Promise<void> {
  try {
    if (!cancelled.has(number)) {
      const answer = await act();
      send({ number, answer }, buffersIn(answer));
    }
  } catch (error) {
    send(error instanceof CancelledError
      ? { number, cancelled: true }
      : { number, error: error instanceof Error ? error.message : String(error) });
  }
  cancelled.delete(number);
}

function send(message: FromWorker, transfer: Transferable[] = []): void {
  scope.postMessage(message, transfer);
}

/** Memory of the arrays in an answer, which is handed over instead of copied; jobs keep none of them. */
function buffersIn(answer: object): Transferable[] {
  const arrays = Object.values(answer).flat().filter((value) => ArrayBuffer.isView(value));
  return [...new Set(arrays.map(({ buffer }) => buffer as ArrayBuffer))];
}
