/** Decoder of `.sinr` files: small neural fields of pictures, sounds, volumes, climate grids, videos, shapes and scenes. */

export { BrotliNeededError, loadBrotli, withBrotli } from "./coding/inflate";
export type { LimitName } from "./container/limits";
export {
  type BaseFile, type Info, open, type Opened, type OpenedSignal, type OpenOptions, type OptionsOf, type RenderingOf,
  type SectionInfo, type SignalFile, type StateFile,
} from "./decoding";
export * from "./errors";
export type { Control } from "./running";
export { type AudioOptions, type AudioRendering, type AudioSpec, planesOf } from "./signals/audio";
export { frameOf, type Shown, toRGBA8 } from "./signals/canvas";
export type { Attribute, Attributes } from "./signals/content";
export { type DatasetOptions, type DatasetRendering, type DatasetSpec, physical, type VariableRendering } from "./signals/dataset";
export type { ImageOptions, ImageRendering, ImageSpec } from "./signals/image";
export type { Item } from "./signals/metadata";
export type { RadianceOptions, RadianceSpec } from "./signals/radiance";
export { distancesOf, occupancyOf, type ShapeOptions, type ShapeRendering, type ShapeSpec } from "./signals/shape";
export type { Range, WindowOptions } from "./signals/spans";
export type { Description, Kind } from "./signals/spec";
export type { VideoOptions, VideoRendering, VideoSpec } from "./signals/video";
export type { VolumeRendering, VolumeSpec } from "./signals/volume";
export { openInSteps, openUrl, type Remote, type UrlOptions } from "./streaming";
export type { DType, Numbers, Params, Tensor } from "./tensor";
