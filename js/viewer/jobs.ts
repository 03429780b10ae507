/** What the worker does for the page. */

import { readHeader } from "../src/container/format";
import { type Opened, SignalFile } from "../src/decoding";
import { TruncatedError } from "../src/errors";
import { withBrotli } from "../src/coding/inflate";
import { open as openBytes } from "../src/decoding";
import type { Control } from "../src/running";
import { planesOf } from "../src/signals/audio";
import { frameOf, toRGBA8 } from "../src/signals/canvas";
import type { Attributes, Variable } from "../src/signals/content";
import { type DatasetSpec, physical } from "../src/signals/dataset";
import type { ImageSpec } from "../src/signals/image";
import { productOf } from "../src/signals/numbers";
import type { Range } from "../src/signals/spans";
import { openInSteps, openUrl, type Remote } from "../src/streaming";
import { fromHalf, type Tensor } from "../src/tensor";
import { niftiFile } from "./nifti";
import type { Answer, Ask, Content, Field, Job, Pixels, Source, Summary } from "./protocol";
import { surfaceOf } from "./surface";

const BEGINNING = 2 ** 12; // bytes in which the header of most files ends

/** An open file, of which parts may have to be loaded. */
export type Host = Remote;

type Doing = { readonly [J in Exclude<Job, "open">]: (host: Host, ask: Ask<J>, control: Control) => Promise<Answer<J>> };

/** Opens a file. `step` is told of the states of a progressive file while it arrives. */
export async function open(source: Source, step: (host: Host, summary: Summary) => void): Promise<[Host, Summary]> {
  const { base } = source;
  if ("bytes" in source) return withBrotli(() => opened({ file: openBytes(source.bytes, { base }), load: async () => {} }));
  if (!(await isProgressive(source.url))) {
    const host = await openUrl(source.url, { base });
    return withBrotli(() => opened(host));
  }
  let last: [Host, Summary] | undefined;
  for await (const file of openInSteps(source.url, { base })) {
    last = await withBrotli(() => opened({ file, load: async () => {} }));
    const [there, declared] = file.info().planes;
    if (there < declared) step(...last);
  }
  return last!;
}

/** Whether a file at an address can be drawn before all of it is there; errors are left to the reader of the file. */
async function isProgressive(url: string): Promise<boolean> {
  const end = new AbortController();
  try {
    const answer = await fetch(url, { headers: { Range: `bytes=0-${BEGINNING - 1}` }, signal: end.signal });
    const reader = answer.body!.getReader();
    for (let start = new Uint8Array(); ; ) {
      const { value, done } = await reader.read();
      if (value !== undefined) start = Uint8Array.from([...start, ...value]);
      try {
        return readHeader(start).planes > 0;
      } catch (error) {
        // A slow net may bring the header in pieces.
        if (done || start.length >= BEGINNING || !(error instanceof TruncatedError)) return false;
      }
    }
  } catch {
    return false;
  } finally {
    end.abort();
  }
}

function opened(host: Host): [Host, Summary] {
  const { file } = host;
  return [host, {
    info: file.info(),
    sections: file.sections(),
    exact: file instanceof SignalFile && (file.header.exact || file.field.exact === "always"),
    metadata: Object.keys(file.metadata()),
    content: contentOf(file),
  }];
}

function contentOf(file: Opened): Content {
  switch (file.kind) {
    case "image": return { kind: "image", height: file.spec.height, width: file.spec.width };
    case "audio": return { kind: "audio", rate: file.spec.rate, frames: file.spec.frames, channels: file.spec.outputs };
    case "volume": return { kind: "volume", sizes: file.spec.sizes, spacing: file.spec.spacing };
    case "dataset": return { kind: "dataset", variables: fieldsOf(file.spec) };
    case "video": return { kind: "video", frames: file.spec.frames, height: file.spec.height, width: file.spec.width, fps: file.spec.fps };
    case "shape": return { kind: "shape", sizes: file.spec.sizes };
    case "radiance": return { kind: "radiance", height: file.spec.camera.height, width: file.spec.camera.width };
    default: {
      const tensors = Array.from(file.weights(), ([name, { shape, dtype }]) => ({ name, shape, dtype }));
      return { kind: file.kind, tensors };
    }
  }
}

function fieldsOf({ content, fields }: DatasetSpec): Field[] {
  const axisOf = (dim: string) => content.variables.find(({ name, dims }) => name === dim && dims.length === 1);
  const labelsOf = (dim: string): string[] => {
    const numbers = axisOf(dim)?.elements?.();
    return numbers === undefined ? [] : Array.from(numbers as ArrayLike<number | string>, (x) => `${typeof x === "number" ? +x.toPrecision(7) : x}`);
  };
  return fields.map(({ name, dims, attrs }) => ({
    name,
    unit: unitOf(attrs),
    dims: dims.map((dim) => ({ name: dim, size: content.dims.get(dim)!, labels: labelsOf(dim), unit: unitOf(axisOf(dim)?.attrs) })),
  }));
}

function unitOf(attrs?: Attributes): string {
  const unit = attrs?.get("units");
  return typeof unit === "string" ? unit : "";
}

/** Cells of a map that the masks of its variable leave out; without such, those of another variable on the same grid. */
function missingIn({ content, fields }: DatasetSpec, field: Variable, places: ReadonlyMap<string, Range>): Uint8Array<ArrayBuffer> {
  const grid = field.dims.slice(-2), isOnGrid = ({ dims }: Variable): boolean => dims.slice(-2).join() === grid.join();
  const { gaps } = field.gaps.length > 0 ? field : (fields.find((other) => other.gaps.length > 0 && isOnGrid(other)) ?? field);
  const [height, width] = [1, 1, ...grid.map((dim) => content.dims.get(dim)!)].slice(-2), missing = new Uint8Array(height * width);
  for (const gap of gaps) {
    const axes = gap.dims.map((dim) => (grid.includes(dim) ? [...Array(content.dims.get(dim)!).keys()] : [places.get(dim)?.[0] ?? 0]));
    const cells = gap.mask().at(axes), steps = grid.map((dim) => (gap.dims.includes(dim) ? productOf(axes.slice(gap.dims.indexOf(dim) + 1).map((axis) => axis.length)) : 0));
    const [down, across] = [0, 0, ...steps].slice(-2);
    for (let i = 0; i < missing.length; i++) missing[i] |= cells[Math.floor(i / width) * down + (i % width) * across];
  }
  return missing;
}

export const JOBS: Doing = {
  async tile(host, ask, control) {
    const { file } = host;
    if (file.kind !== "image") throw new Error("not a picture");
    await host.load(ask);
    return pixelsOf(await file.renderWithPauses(ask, control), file.spec);
  },

  async sound({ file }, _, control) {
    if (file.kind !== "audio") throw new Error("not a sound");
    const sound = await file.renderWithPauses({}, control);
    return { rate: sound.rate, channels: planesOf(sound) as Float32Array<ArrayBuffer>[] };
  },

  async slice(host, { axis, at }, control) {
    const { file } = host;
    if (file.kind !== "volume") throw new Error("not a volume");
    const { sizes } = file.spec, region = sizes.map((n, a): Range => (a === axis ? [at, at + 1] : a < 3 ? [0, n] : [0, 1]));
    await host.load({ region } as never);
    const slice = await file.renderWithPauses({ region }, control), [height, width] = sizes.slice(0, 3).filter((_, a) => a !== axis);
    const values = numbersOf(slice), step = values.length / (height * width);
    return { height, width, values: step === 1 ? values : values.filter((_, i) => i % step === 0), range: slice.range };
  },

  async map(host, { variable, at }, control) {
    const { file } = host;
    if (file.kind !== "dataset") throw new Error("not a dataset");
    const field = file.spec.fields.find(({ name }) => name === variable)!, flat = field.dims.slice(0, -2);
    const region = Object.fromEntries(flat.map((dim, i): [string, Range] => [dim, [at[i], at[i] + 1]])), wanted = { variables: [variable], region };
    await host.load(wanted as never);
    const found = (await file.renderWithPauses(wanted, control)).variables.get(variable)!, values = Float32Array.from(physical(found));
    const [height, width] = [1, 1, ...found.shape].slice(-2);
    return { height, width, values, range: rangeOf(values), missing: missingIn(file.spec, field, new Map(Object.entries(region))) };
  },

  async nifti(host, _, control) {
    const { file } = host;
    if (file.kind !== "volume") throw new Error("not a volume");
    await host.load({});
    const bytes = niftiFile(file.spec, await file.renderWithPauses({}, control));
    if (typeof CompressionStream === "undefined") return { bytes, extension: ".nii" };
    const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
    return { bytes: new Uint8Array(await new Response(packed).arrayBuffer()), extension: ".nii.gz" };
  },

  async frame(host, { at }, control) {
    const { file } = host;
    if (file.kind !== "video") throw new Error("not a video");
    const region: Range[] = [[at, at + 1]];
    await host.load({ region } as never);
    const frame = frameOf(await file.renderWithPauses({ region }, control), 0), [height, width] = frame.shape;
    return { height, width, data: toRGBA8(frame) };
  },

  async surface({ file }, { resolution }, control) {
    if (file.kind !== "shape") throw new Error("not a shape");
    return surfaceOf(await file.renderWithPauses({ resolution }, control));
  },

  async view({ file }, { at, of, scale }, control) {
    if (file.kind !== "radiance") throw new Error("not a scene");
    const view = frameOf(await file.renderWithPauses({ orbit: of, views: [at, at + 1], scale }, control), 0), [height, width] = view.shape;
    return { height, width, data: toRGBA8(view) };
  },
};

/** The samples of a tensor as numbers. */
function numbersOf({ data, dtype }: Pick<Tensor, "data" | "dtype">): Float32Array<ArrayBuffer> {
  return dtype === "float16" ? Float32Array.from(data as Uint16Array, fromHalf) : Float32Array.from(data as Float64Array, Number);
}

/** The finite numbers' least and largest. */
function rangeOf(values: Float32Array): [number, number] {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}

function pixelsOf(samples: Tensor & { mode: string }, { levels }: ImageSpec): Pixels {
  const [height, width] = samples.shape;
  // Of samples without a usual range, that of the whole picture, so that tiles go together.
  const hasUsual = /^(bool|uint8|uint16)$/.test(levels.dtype);
  return { width, height, data: toRGBA8(samples, { mode: samples.mode, range: hasUsual ? undefined : [levels.low, levels.high] }) };
}
