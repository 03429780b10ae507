/** What the page and the worker with the decoder tell each other. */

import type { Info, SectionInfo } from "../src/decoding";
import type { Range } from "../src/signals/spans";

/** Where a file comes from. `base` is the file of the base, for a file that names one. */
export type Source = ({ readonly bytes: Uint8Array } | { readonly url: string }) & { readonly base?: Uint8Array };

/** A picture of 8 bits a channel, not premultiplied: RGBA (height, width, 4). */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray<ArrayBuffer>;
}

/** What is known of a file before anything is rendered. */
export interface Summary {
  readonly info: Info;
  readonly sections: readonly SectionInfo[];
  /** Whether samples are the same bits on every machine. */
  readonly exact: boolean;
  readonly metadata: readonly string[];
  readonly content: Content;
}

/** The file's content by kind, as far as the page needs it. */
export type Content =
  | { readonly kind: "image"; readonly height: number; readonly width: number }
  | { readonly kind: "audio"; readonly rate: number; readonly frames: number; readonly channels: number }
  | { readonly kind: "volume"; readonly sizes: readonly number[]; readonly spacing: readonly number[] }
  | { readonly kind: "dataset"; readonly variables: readonly Field[] }
  | { readonly kind: "video"; readonly frames: number; readonly height: number; readonly width: number; readonly fps: number }
  | { readonly kind: "shape"; readonly sizes: readonly number[] }
  | { readonly kind: "radiance"; readonly height: number; readonly width: number }
  | { readonly kind: "state" | "base"; readonly tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly dtype: string }[] };

/** A variable of a dataset: its unit, and its dimensions with sizes, labels of positions, and their units. */
export interface Field {
  readonly name: string;
  readonly unit: string;
  readonly dims: readonly { readonly name: string; readonly size: number; readonly labels: readonly string[]; readonly unit: string }[];
}

/** A map, and the cells of the grid that have no value. */
export interface MapPlane extends Plane {
  readonly missing: Uint8Array<ArrayBuffer>;
}

/** Numbers of a plane (height, width), and those shown as black and white. */
export interface Plane {
  readonly height: number;
  readonly width: number;
  readonly values: Float32Array<ArrayBuffer>;
  readonly range: readonly [low: number, high: number];
}

/** Triangles with normals and colours, three numbers a vertex. */
export interface Mesh {
  readonly positions: Float32Array<ArrayBuffer>;
  readonly normals: Float32Array<ArrayBuffer>;
  readonly colours: Float32Array<ArrayBuffer>;
  readonly triangles: Uint32Array<ArrayBuffer>;
}

/** What the worker does for the page: what it is asked, and what it answers. */
export interface Jobs {
  open: { ask: Source; answer: Summary };
  /** A tile of a picture at a factor on its resolution: ranges of rows and columns of the result. */
  tile: { ask: { scale: number; tile: readonly Range[] }; answer: Pixels };
  /** Channels of a sound, -1 .. 1. */
  sound: { ask: object; answer: { rate: number; channels: readonly Float32Array<ArrayBuffer>[] } };
  /** The plane of a volume across an axis; of the first of further axes and channels. */
  slice: { ask: { axis: number; at: number }; answer: Plane };
  /** The last two dimensions of a variable, at positions along the others. */
  map: { ask: { variable: string; at: readonly number[] }; answer: MapPlane };
  /** The whole volume as a NIfTI file, compressed where the browser can. */
  nifti: { ask: object; answer: { bytes: Uint8Array<ArrayBuffer>; extension: ".nii" | ".nii.gz" } };
  frame: { ask: { at: number }; answer: Pixels };
  /** The surface of a shape at a resolution along its longest side. */
  surface: { ask: { resolution: number }; answer: Mesh };
  /** A view of a scene: one of so many around it. */
  view: { ask: { at: number; of: number; scale: number }; answer: Pixels };
}

export type Job = keyof Jobs;
export type Ask<J extends Job> = Jobs[J]["ask"];
export type Answer<J extends Job> = Jobs[J]["answer"];

/** A message to the worker: work to do, or the number of work that is not needed any more. */
export type ToWorker =
  | { [J in Job]: { readonly number: number; readonly job: J; readonly ask: Ask<J> } }[Job]
  | { readonly cancel: number };

/** A message to the page about work with a number. `step` is a file of which more will follow. */
export type FromWorker = { readonly number: number } & (
  | { readonly answer: Answer<Job> }
  | { readonly step: Summary }
  | { readonly progress: number }
  | { readonly error: string }
  | { readonly cancelled: true });
