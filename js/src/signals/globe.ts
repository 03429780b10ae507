/** Latitude and longitude of gridded data as points of the unit sphere (docs/format-signals.md, "Network"). */

import { MalformedError } from "../errors";
import type { DType, Numbers } from "../tensor";
import { offsets } from "./bytes";
import { type Attribute, type Attributes, type Content, floatsIn, isNumeric, numbersOf, sizesOf, type Variable } from "./content";
import { clip } from "./numbers";

const MOST_LATITUDE = 90.5;
const MOST_TURNS = 1e6;

/** Positions along dimensions by name, in samples of the source. */
export type Axes = ReadonlyMap<string, Float64Array>;

/** First and one behind the last sample along dimensions by name. */
export type Area = ReadonlyMap<string, readonly [number, number]>;

/** Angles in degrees over some dimensions, in C order. */
interface Angles {
  readonly dims: readonly string[];
  readonly sizes: readonly number[];
  readonly degrees: Float64Array;
}

/** Whether two variables can place the fields on the globe; their elements are not looked at. */
export function isEarth(content: Content, lat: string, lon: string, steady: readonly string[]): boolean {
  const pair = [lat, lon].map((name) => content.variables.find((v) => v.name === name));
  if (!pair.every((v) => v !== undefined && v.elements !== undefined && isNumeric(v.dtype))) return false;
  const [whole, other] = pair.map((v) => v!.dims);
  const [a, b] = [whole, other].map((dims) => without(dims, steady));
  const fields = new Set(content.variables.flatMap((v) => (v.levels === undefined ? [] : v.dims)));
  const isAlike = (a.length === 1 && b.length === 1) || (a.join("\0") === b.join("\0") && new Set(a).size === a.length);
  return a.length > 0 && b.length > 0 && isAlike
    && steady.every((name) => whole.includes(name) && other.includes(name))
    && [...a, ...b].every((name) => fields.has(name));
}

/** Stored numbers of a variable with these attributes, with `scale_factor` and `add_offset` applied. */
export function physicalOf(attrs: Attributes, stored: Float64Array): Float64Array {
  const factor = numbersOf(attrs.get("scale_factor"))[0] ?? 1;
  const offset = numbersOf(attrs.get("add_offset"))[0] ?? 0;
  return stored.map((x) => x * factor + offset);
}

/** Elements of a numeric variable that is stored exactly, as binary64. */
export function storedOf(variable: Variable): Float64Array {
  return floatsIn({ dtype: variable.dtype as DType, shape: [], data: variable.elements!() as Numbers });
}

/** Longitudes along an axis without jumps of more than half a turn. */
export function unwrapped(degrees: Float64Array): Float64Array {
  const out = Float64Array.from(degrees);
  for (let i = 1, turns = 0; i < out.length; i++) {
    const step = degrees[i] - degrees[i - 1];
    if (Math.abs(step) > 180) turns -= Math.round(step / 360) || Math.sign(step);
    out[i] = degrees[i] + 360 * turns;
  }
  return out;
}

/** Linear interpolation at positions in samples, and beyond the last one by the last step. */
export function between(samples: Float64Array, positions: Float64Array): Float64Array {
  const last = samples.length - 1, step = last > 0 ? samples[last] - samples[last - 1] : 0;
  return positions.map((x) => {
    const at = clip(x, 0, last + 1), i = Math.min(Math.floor(at), last);
    const next = i === last ? samples[last] + step : samples[i + 1];
    return at === i ? samples[i] : samples[i] + (next - samples[i]) * (at - i);
  });
}

/** Points of the sphere from positions on a grid, moved and scaled to fill [-1, 1]. */
export class Globe {
  /** One axis each, so that positions between samples have a meaning. */
  readonly isSeparable: boolean;
  private readonly lat: Angles;
  private readonly lon: Angles;
  private readonly domains = new Map<string, { middle: readonly number[]; radius: number }>();

  /** `MalformedError` for angles that are not those of places. */
  constructor(content: Content, lat: Variable, lon: Variable) {
    this.lat = anglesOf(content, lat);
    const angles = anglesOf(content, lon);
    this.isSeparable = this.lat.dims.join("\0") !== angles.dims.join("\0");
    const places = this.lat.degrees.every((a) => Math.abs(a) <= MOST_LATITUDE)
      && angles.degrees.every((b) => Math.abs(b) <= MOST_TURNS * 360);
    if (!places) throw new MalformedError("dataset: latitudes or longitudes are not those of places");
    this.lon = this.isSeparable ? { ...angles, degrees: unwrapped(angles.degrees) } : angles;
  }

  /** Dimensions of latitude and of longitude. */
  get dims(): readonly [readonly string[], readonly string[]] {
    return [this.lat.dims, this.lon.dims];
  }

  /** Whether the first meridian follows after the last one. */
  get isCyclic(): boolean {
    const { degrees } = this.lon, n = degrees.length;
    if (!this.isSeparable || n < 3) return false;
    const step = Math.abs(degrees[n - 1] - degrees[0]) / (n - 1);
    return step > 0 && Math.abs(step * n - 360) < 0.01 * step;
  }

  /**
   * Coordinates at all combinations of positions: a function of the indices along the axes, which writes three numbers.
   *
   * An axis that is absent leaves its share at 0. The points of `area` fill [-1, 1]; default: all.
   */
  at(axes: Axes, area?: Area): (index: (dim: string) => number, out: Float64Array) => void {
    const { middle, radius } = this.domain(area), [latDims, lonDims] = this.dims;
    const moved = (a: number, b: number, hasLat: boolean, hasLon: boolean, out: Float64Array): void => {
      out[0] = hasLon ? (Math.cos(a) * Math.cos(b) - middle[0]) / radius : 0;
      out[1] = hasLon ? (Math.cos(a) * Math.sin(b) - middle[1]) / radius : 0;
      out[2] = hasLat ? (Math.sin(a) - middle[2]) / radius : 0;
    };
    if (!this.isSeparable) {
      const { sizes } = this.lat, hasAll = latDims.every((name) => axes.has(name));
      return (index, out) => {
        if (!hasAll) return void out.fill(0);
        let place = 0;
        latDims.forEach((name, axis) => (place = place * sizes[axis] + Math.trunc(axes.get(name)![index(name)])));
        moved(radians(this.lat.degrees[place]), radians(this.lon.degrees[place]), true, true, out);
      };
    }
    const [a, b] = [this.lat, this.lon].map(({ dims, degrees }) => {
      const positions = axes.get(dims[0]);
      return positions === undefined ? undefined : between(degrees, positions).map(radians);
    });
    return (index, out) => {
      moved(a?.[index(latDims[0])] ?? 0, b?.[index(lonDims[0])] ?? 0, a !== undefined, b !== undefined, out);
    };
  }

  /** Middle and half the size of the box of all points of an area. */
  private domain(area?: Area): { middle: readonly number[]; radius: number } {
    const ranges = this.dims.map((dims, number) => dims.map((name, axis) =>
      area?.get(name) ?? ([0, (number === 0 ? this.lat : this.lon).sizes[axis]] as const)));
    const key = ranges.join(";");
    let known = this.domains.get(key);
    if (known === undefined) {
      const [low, high] = this.isSeparable ? this.ends(ranges) : this.endsTogether(ranges[0]);
      const half = Math.max(...high.map((x, i) => (x - low[i]) / 2));
      known = { middle: low.map((x, i) => (x + high[i]) / 2), radius: half || 1 };
      this.domains.set(key, known);
    }
    return known;
  }

  /** Ends of products: they are among those of the ends of the factors. */
  private ends(ranges: readonly (readonly (readonly [number, number])[])[]): [number[], number[]] {
    const [lat, lon] = [this.lat, this.lon].map(({ degrees }, i) => degrees.subarray(...ranges[i][0]).map(radians));
    const [across, up] = [Math.cos, Math.sin].map((of) => extremes(lat.map((a) => of(a))));
    const sides = [Math.cos, Math.sin].map((of) => extremes(lon.map((b) => of(b))));
    const products = sides.map((side) => extremes(Float64Array.from([0, 1, 2, 3], (k) => across[k >> 1] * side[k & 1])));
    const all = [...products, up];
    return [all.map(([low]) => low), all.map(([, high]) => high)];
  }

  /** Ends where latitude and longitude belong to the same cells. */
  private endsTogether(ranges: readonly (readonly [number, number])[]): [number[], number[]] {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    const axes = ranges.map(([first, last]) => Array.from({ length: last - first }, (_, i) => first + i));
    for (const place of offsets(axes, this.lat.sizes)) {
      const a = radians(this.lat.degrees[place]), b = radians(this.lon.degrees[place]);
      [Math.cos(a) * Math.cos(b), Math.cos(a) * Math.sin(b), Math.sin(a)].forEach((x, i) => {
        low[i] = Math.min(low[i], x);
        high[i] = Math.max(high[i], x);
      });
    }
    return [low, high];
  }
}

function anglesOf(content: Content, variable: Variable): Angles {
  const { dims } = variable, sizes = sizesOf(content, dims), kept = without(dims, content.steady);
  const isRadians = startsWithRad(variable.attrs.get("units"));
  const all = physicalOf(variable.attrs, storedOf(variable));
  // Of dimensions along which nothing changes, the first sample.
  const axes = dims.map((name, axis) => (content.steady.includes(name) ? [0] : Array.from({ length: sizes[axis] }, (_, i) => i)));
  const degrees = Float64Array.from(offsets(axes, sizes), (place) => (isRadians ? (all[place] * 180) / Math.PI : all[place]));
  return { dims: kept, sizes: sizesOf(content, kept), degrees };
}

function startsWithRad(units: Attribute | undefined): boolean {
  return typeof units === "string" && units.startsWith("rad");
}

function without(dims: readonly string[], others: readonly string[]): string[] {
  return dims.filter((name) => !others.includes(name));
}

function radians(degrees: number): number {
  return degrees * (Math.PI / 180);
}

function extremes(values: Float64Array): [number, number] {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}
