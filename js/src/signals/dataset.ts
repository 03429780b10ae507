/** Datasets (docs/format-signals.md, "Datasets"): fields over named dimensions, and what is stored exactly beside them. */

import type { Cbor } from "../container/cbor";
import { InputError } from "../errors";
import { allocate, type DType, type Numbers } from "../tensor";
import { Cut } from "./blocks";
import { offsets } from "./bytes";
import { areWhole, expect, isList } from "./checks";
import {
  type Attributes, type Content, contentOf, floatsIn, type Gap, isNumeric, numbersOf, sizesOf, unsignedOf, type Variable,
} from "./content";
import { type Area, between, Globe, isEarth, physicalOf, storedOf, unwrapped } from "./globe";
import { bytesOf, describeCut } from "./grids";
import { toHalf } from "./levels";
import { checkBound, type Networks, scaled, type Steps } from "./networks";
import { nearest, productOf } from "./numbers";
import { cropped, renderBlocks, renderTiles, type Samples } from "./rendering";
import { checkCount, type Range } from "./spans";
import type { Description, Reader, Spec } from "./spec";

const DATASET_IN_BLOCKS = 11;
const SLAB = 1 << 22; // cells of a mask that are unpacked at once
const EXACT_BYTES = 4; // that a byte of the side section takes while it is used

export interface DatasetOptions {
  /** Names of the variables wanted. Default: all. */
  readonly variables?: readonly string[];
  /** Part of the dataset: [start, stop) by dimension, in samples of the source. */
  readonly region?: Readonly<Record<string, Range>>;
  /** Factors on the resolution by dimension, or one for latitude and longitude (else for the last two dimensions). */
  readonly scale?: number | Readonly<Record<string, number>>;
}

/** A variable as it is stored: before `scale_factor` and `add_offset`, with fill values. */
export interface VariableRendering {
  readonly dims: readonly string[];
  /** A sample type, "S" and a length for byte strings one after the other, or "text". */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Numbers | readonly string[];
  readonly attrs: Attributes;
}

export interface DatasetRendering {
  readonly variables: ReadonlyMap<string, VariableRendering>;
  readonly attrs: Attributes;
}

/** Samples along a dimension: at positions i / factor for `count` numbers i from `first` on. */
interface Stride {
  readonly first: number;
  readonly count: number;
  readonly factor: number;
}

/** Everything but the values of the fields. */
export class DatasetSpec implements Spec<DatasetOptions, DatasetRendering> {
  readonly kind = "dataset";
  /** Memory for a value: what the network gives, and what is stored. */
  readonly valueBytes = 16;
  /** Variables that the networks represent. */
  readonly fields: readonly Variable[];
  /** Dimensions of all fields, those of the field with most of them first. */
  readonly dims: readonly string[];
  readonly cut: Cut | undefined;
  private readonly sphere: readonly string[];
  private known: Globe | undefined;

  private constructor(readonly content: Content, blocks: readonly Cbor[] | undefined, fade: Cbor | undefined) {
    const { variables, earth, steady } = content;
    this.fields = variables.filter(({ levels }) => levels !== undefined);
    const longest = [...this.fields].sort((a, b) => b.dims.length - a.dims.length);
    this.dims = [...new Set(longest.flatMap(({ dims }) => dims))];
    const placed = earth?.sphere ? [earth.lat, earth.lon].flatMap((name) => this.named(name).dims) : [];
    this.sphere = [...new Set(placed.filter((name) => !steady.includes(name)))];
    if (blocks !== undefined) {
      expect(blocks.length === this.dims.length, "dataset blocks: expected a number for each dimension");
      this.cut = Cut.of(sizesOf(content, this.dims), blocks, fade);
    }
  }

  get inputs(): number {
    return this.dims.filter((name) => !this.sphere.includes(name)).length + (this.sphere.length > 0 ? 3 : 0);
  }

  get outputs(): number {
    return this.fields.length;
  }

  get parts(): number {
    return this.cut?.parts ?? 1;
  }

  get values(): number {
    return this.content.variables.reduce((sum, { dims }) => sum + productOf(sizesOf(this.content, dims)), 0);
  }

  /** `MalformedError`, `TruncatedError` or `LimitError` for a header or a side section that breaks a rule. */
  static read(header: readonly Cbor[], side: Uint8Array): DatasetSpec {
    const blocks = blocksIn(header), content = contentOf(side), { earth, steady } = content;
    expect(
      earth === undefined ? steady.length === 0 : isEarth(content, earth.lat, earth.lon, steady),
      "dataset side: breaks the form that a writer gives it",
    );
    return new DatasetSpec(content, blocks, header[2]);
  }

  describe(): Description {
    const { content, dims, fields } = this;
    const names = fields.map((v) => (v.dims.join() === dims.join() ? v.name : `${v.name}(${v.dims.join(", ")})`));
    return {
      type: this.kind, shape: sizesOf(content, dims), dims, dtype: [...new Set(fields.map(({ dtype }) => dtype))].join(", "),
      variables: names, masked: fields.filter(({ gaps }) => gaps.length > 0).map(({ name }) => name),
      exact: content.variables.filter(({ levels }) => levels === undefined).map(({ name }) => name),
      sphere: this.sphere.length > 0, ...describeCut(this.cut),
    };
  }

  partsFor(options: DatasetOptions): number[] {
    if (this.cut === undefined) return [0];
    const strides = this.strides(options), parts = new Set<number>();
    for (const [{ dims }] of groupsOf(this.fields.filter(({ name }) => options.variables?.includes(name) ?? true))) {
      const along = this.cutAlong(dims);
      const places = along.partsAt(dims.map((name) => positionsOf(strides.get(name)!).map((x) => x + 0.5)));
      for (const part of places) parts.add(this.partAt(dims, along.placeOf(part)));
    }
    return [...parts];
  }

  /** `InputError` for a name or a region that is not there; `LimitError` before anything is allocated. */
  *render(networks: Networks, options: DatasetOptions): Steps<DatasetRendering> {
    const { content } = this, { variables: wanted } = options;
    for (const name of wanted ?? []) this.named(name);
    const strides = this.strides(options);
    const isWanted = ({ name }: Variable): boolean => wanted === undefined || wanted.includes(name);
    const lengthsOf = (dims: readonly string[]): number[] => dims.map((name) => strides.get(name)!.count);
    const chosen = this.fields.filter(isWanted), total = chosen.reduce((sum, { dims }) => sum + productOf(lengthsOf(dims)), 0);
    checkCount([total], networks.bounds.samples, "value");
    checkBound("what is stored exactly", EXACT_BYTES * content.unpacked, networks.bounds.bytes, "max_bytes");
    const places = new Map<string, Float64Array>();
    for (const name of new Set(content.variables.filter(isWanted).flatMap(({ dims }) => dims))) {
      places.set(name, positionsOf(strides.get(name)!));
    }
    const rendered = new Map<Variable, Numbers>();
    let done = 0;
    for (const group of groupsOf(chosen)) {
      const [{ dims }] = group, share = (productOf(lengthsOf(dims)) * group.length) / Math.max(total, 1);
      const found = yield* scaled(this.group(networks, dims, places, group), done, share);
      group.forEach((variable, i) => rendered.set(variable, found[i]));
      done += share;
    }
    const found = new Map<string, VariableRendering>();
    for (const variable of content.variables.filter(isWanted)) {
      const { name, dims, attrs } = variable, shape = lengthsOf(dims);
      const exact = variable.levels === undefined ? this.exact(variable, places, strides) : undefined;
      const data = exact?.data ?? rendered.get(variable);
      if (data !== undefined) found.set(name, { dims, shape, attrs, dtype: exact?.dtype ?? variable.dtype, data });
    }
    return { variables: found, attrs: content.attrs };
  }

  private named(name: string): Variable {
    const variable = this.content.variables.find((v) => v.name === name);
    if (variable === undefined) throw new InputError(`variables: ${JSON.stringify(name)} is not in the file`);
    return variable;
  }

  /** Where the dimensions of latitude and longitude lie on the sphere; undefined without such. */
  private get globe(): Globe | undefined {
    const { earth } = this.content;
    if (earth === undefined) return undefined;
    return (this.known ??= new Globe(this.content, this.named(earth.lat), this.named(earth.lon)));
  }

  /** What to render of each dimension. */
  private strides({ region = {}, scale = {} }: DatasetOptions): Map<string, Stride> {
    const { globe, content } = this;
    const usual = globe === undefined ? this.dims.slice(-2) : globe.dims.flat();
    const factors = typeof scale === "number" ? Object.fromEntries(usual.map((name) => [name, scale])) : scale;
    for (const name of [...Object.keys(region), ...Object.keys(factors)]) {
      if (!this.dims.includes(name)) throw new InputError(`dimension ${JSON.stringify(name)}: expected one of ${this.dims.join(", ")}`);
    }
    const strides = new Map<string, Stride>();
    for (const [name, n] of content.dims) {
      const [start, stop] = region[name] ?? [0, n], factor = factors[name] ?? 1;
      if (!Number.isInteger(start) || !Number.isInteger(stop) || !(0 <= start && start < stop && stop <= n)) {
        throw new InputError(`region ${name} ${start}:${stop}: expected 0 <= start < stop <= ${n}`);
      }
      if (!(factor > 0 && factor < 2 ** 31)) throw new InputError(`scale ${name}: expected a number above 0`);
      if (factor !== 1 && globe !== undefined && !globe.isSeparable && globe.dims[0].includes(name)) {
        throw new InputError(`scale of ${name}: its latitudes and longitudes are not axes, so they have no between`);
      }
      // After the last meridian the first one follows: there is room between them.
      const isClosed = globe !== undefined && globe.isCyclic && globe.dims[1].includes(name) && stop === n;
      const first = Math.ceil(start * factor);
      const last = isClosed ? Math.ceil(stop * factor) : Math.floor((stop - 1) * factor) + 1;
      strides.set(name, { first, count: Math.max(last - first, 1), factor });
    }
    return strides;
  }

  /** A variable that is stored exactly, at positions; undefined where it has no values between its samples. */
  private exact(variable: Variable, places: ReadonlyMap<string, Float64Array>, strides: ReadonlyMap<string, Stride>) {
    const { dims, name, dtype } = variable, { earth } = this.content;
    if (!dims.some((each) => strides.get(each)!.factor !== 1)) {
      const index = offsets(dims.map((each) => places.get(each)!), sizesOf(this.content, dims));
      return { dtype, data: taken(variable, index) };
    }
    const isPlace = earth !== undefined && (name === earth.lat || name === earth.lon);
    if (!isNumeric(dtype) || dims.length !== 1 || !(dims[0] === name || isPlace)) return undefined;
    const stored = storedOf(variable), samples = earth !== undefined && name === earth.lon ? unwrapped(stored) : stored;
    return { dtype: "float64", data: between(samples, places.get(dims[0])!) };
  }

  /** Fields over the same dimensions at positions, as stored, fill values included. */
  private *group(
    networks: Networks, dims: readonly string[], places: ReadonlyMap<string, Float64Array>, group: readonly Variable[],
  ): Steps<Numbers[]> {
    const axes = dims.map((name) => places.get(name)!), numbers = group.map((variable) => this.fields.indexOf(variable));
    const samples: Samples = {
      values: group.length,
      allocate: (count) => new Float32Array(count),
      finish: (values, out) => (out as Float32Array).set(values),
    };
    const outputs = (part: number, points: Float32Array): Float32Array =>
      columnsOf(networks.part(part).at(points, points.length / this.inputs), this.outputs, numbers);
    let values: Numbers;
    if (this.cut === undefined) {
      const lengths = axes.map((axis) => axis.length);
      values = yield* renderTiles(networks, lengths, samples, "cell", (box) =>
        outputs(0, this.points(dims, cropped(axes, box))));
    } else {
      const middles = axes.map((axis) => axis.map((x) => x + 0.5));
      values = yield* renderBlocks(networks, this.cutAlong(dims), middles, samples, "cell", (place, some) => {
        const part = this.partAt(dims, place), points = this.points(dims, some.map((axis) => axis.map((x) => x - 0.5)), part);
        return outputs(part, points);
      });
    }
    return group.map(({ levels, dtype, gaps }, column) => {
      const own = columnsOf(values as Float32Array, group.length, [column]), data = allocate(levels!.dtype, own.length);
      levels!.toSamples(own, data);
      // Where the levels are those of unsigned numbers, the dtype has their bits.
      const stored = sameBits(data, dtype as DType);
      for (const gap of gaps) this.fill(stored, gap, dtype as DType, dims, places);
      return stored;
    });
  }

  /** Coordinates (n, a) of a network at all combinations of positions along dimensions, in C order. */
  private points(dims: readonly string[], axes: readonly Float64Array[], part?: number): Float32Array {
    const { cut, sphere, content } = this, width = this.inputs, lengths = axes.map((axis) => axis.length);
    const place = part === undefined ? undefined : cut!.placeOf(part);
    const own = this.dims.filter((name) => !sphere.includes(name)).map((name) => {
      const axis = dims.indexOf(name), number = this.dims.indexOf(name), n = content.dims.get(name)!;
      if (axis < 0) return { axis, values: undefined };
      const values = place === undefined
        ? Float32Array.from(axes[axis], (p) => (2 * p + 1) / n - 1)
        : cut!.coordinates(number, place[number], axes[axis].map((p) => p + 0.5));
      return { axis, values };
    });
    const points = new Float32Array(productOf(lengths) * width), index = new Array<number>(dims.length).fill(0), globe = new Float64Array(3);
    const area: Area | undefined = place === undefined ? undefined
      : new Map(this.dims.map((name, number) => [name, cut!.area(number, place[number])]));
    const at = sphere.length > 0 ? this.globe!.at(new Map(dims.map((name, axis) => [name, axes[axis]])), area) : undefined;
    const indexOf = (name: string): number => index[dims.indexOf(name)];
    for (let to = 0; to < points.length; to += width) {
      own.forEach(({ axis, values }, column) => {
        if (values !== undefined) points[to + column] = values[index[axis]];
      });
      if (at !== undefined) {
        at(indexOf, globe);
        points.set(globe, to + own.length);
      }
      for (let axis = dims.length - 1; axis >= 0; axis--) {
        if (++index[axis] < lengths[axis]) break;
        index[axis] = 0;
      }
    }
    return points;
  }

  /** The block at a place along some dimensions, which is the first one along all others. */
  private partAt(dims: readonly string[], place: readonly number[]): number {
    return this.cut!.numberOf(this.dims.map((name) => (dims.includes(name) ? place[dims.indexOf(name)] : 0)));
  }

  /** How the grid of some dimensions is cut. */
  private cutAlong(dims: readonly string[]): Cut {
    const { cut, content } = this;
    return new Cut(sizesOf(content, dims), dims.map((name) => cut!.counts[this.dims.indexOf(name)]), cut!.fade);
  }

  /** Puts a number into the cells of a field that hold it; the nearest cell of the source decides. */
  private fill(data: Numbers, gap: Gap, dtype: DType, dims: readonly string[], places: ReadonlyMap<string, Float64Array>): void {
    const shape = dims.map((name) => places.get(name)!.length), [number] = elementOf(dtype, gap.number);
    const axes = gap.dims.map((name) => {
      const n = this.content.dims.get(name)!;
      return places.get(name)!.map((x) => nearest(x) % n);
    });
    // The mask over the field's dimensions: how far a step along each goes in it.
    const lengths = axes.map((axis) => axis.length), along = dims.indexOf(gap.dims[0]);
    const steps = dims.map((name) => (gap.dims.includes(name) ? productOf(lengths.slice(gap.dims.indexOf(name) + 1)) : 0));
    const mask = gap.mask(), rows = Math.max(1, Math.floor(SLAB / productOf(lengths.slice(1))));
    for (let start = 0; start < lengths[0]; start += rows) {
      const stop = Math.min(start + rows, lengths[0]), cells = mask.at([axes[0].subarray(start, stop), ...axes.slice(1)]);
      const place = shape.map((_, axis) => (axis === along ? start : 0));
      const count = (productOf(shape) / lengths[0]) * (stop - start);
      for (let i = 0; i < count; i++) {
        let at = 0, cell = -start * steps[along];
        for (let axis = 0; axis < place.length; axis++) {
          at = at * shape[axis] + place[axis];
          cell += place[axis] * steps[axis];
        }
        if (cells[cell] !== 0) data[at] = number;
        for (let axis = place.length - 1; axis >= 0; axis--) {
          if (++place[axis] < (axis === along ? stop : shape[axis])) break;
          place[axis] = axis === along ? start : 0;
        }
      }
    }
  }
}

/** How datasets are read. */
export const DATASETS: Reader<DatasetSpec> = {
  partsIn: (header) => productOf(blocksIn(header) ?? []),
  read: DatasetSpec.read,
};

/**
 * A variable of a rendering in its units: `scale_factor` and `add_offset` applied, NaN where a number stands for none.
 *
 * @throws InputError for a variable that has no numbers.
 */
export function physical({ dtype, attrs, data }: VariableRendering): Float64Array {
  if (!isNumeric(dtype)) throw new InputError(`physical: expected a variable of numbers, found ${dtype}`);
  const wrap = unsignedOf(dtype, attrs) === dtype ? 0 : 2 ** (8 * bytesOf(dtype));
  const unsigned = (x: number): number => (x < 0 ? x + wrap : x);
  const marks = new Set([attrs.get("_FillValue"), attrs.get("missing_value")].flatMap(numbersOf).map(unsigned));
  const stored = floatsIn({ dtype, shape: [], data: data as Numbers }).map(unsigned);
  return physicalOf(attrs, stored).map((value, i) => (marks.has(stored[i]) ? NaN : value));
}

function blocksIn(header: readonly Cbor[]): readonly number[] | undefined {
  if (header[0] !== DATASET_IN_BLOCKS) {
    expect(header.length === 1, "dataset header: expected the id alone");
    return undefined;
  }
  const [, blocks] = header, form = "dataset header: expected id, blocks by dimension and fade";
  expect(header.length === 3 && isList(blocks) && areWhole(blocks, blocks.length, 1, Infinity), form);
  return blocks;
}

function positionsOf({ first, count, factor }: Stride): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => (first + i) / factor);
}

function groupsOf(variables: readonly Variable[]): Variable[][] {
  const groups = new Map<string, Variable[]>();
  for (const variable of variables) {
    const key = variable.dims.join("\0");
    groups.set(key, [...(groups.get(key) ?? []), variable]);
  }
  return [...groups.values()];
}

/** Some columns of values (n, width), (n, columns). */
function columnsOf(values: Float32Array, width: number, columns: readonly number[]): Float32Array {
  const out = new Float32Array((values.length / width) * columns.length);
  for (let from = 0, to = 0; from < values.length; from += width) for (const column of columns) out[to++] = values[from + column];
  return out;
}

/** Elements of a variable that is stored exactly, by their numbers in C order. */
function taken({ dtype, elements }: Variable, index: Float64Array): Numbers | readonly string[] {
  const from = elements!();
  if (dtype === "text") return Array.from(index, (i) => (from as readonly string[])[i]);
  const width = /^S/.test(dtype) ? Number(dtype.slice(1)) : 1, numbers = from as Uint8Array;
  const out = new (numbers.constructor as Uint8ArrayConstructor)(index.length * width);
  index.forEach((place, i) => {
    for (let k = 0; k < width; k++) out[i * width + k] = numbers[place * width + k];
  });
  return out;
}

/** Numbers of another type of the same width, as their bits are. */
function sameBits(data: Numbers, dtype: DType): Numbers {
  const like = allocate(dtype, 0).constructor as new (buffer: ArrayBufferLike) => Numbers;
  return new like(data.buffer);
}

/** A number as an array of a dtype holds it. */
function elementOf(dtype: DType, number: number | bigint): Numbers {
  const one = allocate(dtype, 1);
  one[0] = dtype === "float16" ? toHalf(number as number) : number;
  return one;
}
