/** The side section of a dataset: everything but the values of its fields (docs/format-signals.md, "Side section"). */

import { Reader } from "../container/bytes";
import { type Cbor, CborFloat, type CborMap, decodeCbor } from "../container/cbor";
import { inflate } from "../coding/inflate";
import { LimitError } from "../errors";
import { allocate, type DType, fromHalf, type Numbers, type Tensor } from "../tensor";
import { Mask, readArray } from "./bytes";
import { expect, isList, isMap, isWhole } from "./checks";
import { DTYPES, isFloat, Levels, rangeOf } from "./levels";
import { productOf } from "./numbers";

const MOST_BYTES = 2 ** 28; // unpacked
const MOST_META = 2 ** 22;
const MOST_ITEMS = 2 ** 19;
const MOST_VARIABLES = 2 ** 14;
const MOST_SIZE = 2 ** 40;
const MOST_DIMS = 32;
const MOST_AXES = 8;
const VARINT = 10; // bytes of the longest one
const COMPUTED = new Set(["_FillValue", "missing_value", "scale_factor", "add_offset"]); // attributes that are computed with
const FORM = "dataset side: breaks the form that a writer gives it";

/** An attribute; numbers of a dtype are tensors. */
export type Attribute = null | boolean | number | bigint | string | Uint8Array | Tensor | Attribute[] | Map<string, Attribute>;
export type Attributes = ReadonlyMap<string, Attribute>;

/** Elements of a variable: numbers, byte strings of a length one after the other, or texts. */
export type Elements = Numbers | readonly string[];

/** Cells of a field that hold a number instead of a value, and the dimensions along which they change. */
export interface Gap {
  readonly number: number | bigint;
  readonly dims: readonly string[];
  /** Unpacked when it is asked for. */
  mask(): Mask;
}

export interface Variable {
  readonly name: string;
  readonly dims: readonly string[];
  /** A sample type, "S" and a length for byte strings, or "text". */
  readonly dtype: string;
  readonly attrs: Attributes;
  /** Of a field: the stored numbers that map to -1 and 1, unsigned where the attribute `_Unsigned` says so. */
  readonly levels?: Levels;
  /** Of a field: cells without a value. */
  readonly gaps: readonly Gap[];
  /** Of any other variable: its elements, unpacked when they are asked for. */
  elements?(): Elements;
}

export interface Content {
  /** Sizes of dimensions by name, in order. */
  readonly dims: ReadonlyMap<string, number>;
  readonly attrs: Attributes;
  readonly variables: readonly Variable[];
  readonly unlimited: readonly string[];
  /** Names of the variables with latitude and longitude; whether they become points of the sphere. */
  readonly earth: { readonly lat: string; readonly lon: string; readonly sphere: boolean } | undefined;
  /** Dimensions of latitude and longitude along which neither changes. */
  readonly steady: readonly string[];
  /** Bytes of the side section, unpacked. */
  readonly unpacked: number;
}

/** Sizes of some dimensions. */
export function sizesOf(content: Content, dims: readonly string[]): number[] {
  return dims.map((name) => content.dims.get(name)!);
}

/** Whether the elements are integers or floats. */
export function isNumeric(dtype: string): dtype is DType {
  return dtype !== "bool" && (DTYPES as readonly string[]).includes(dtype);
}

/** The numbers of an attribute, which is one or a flat list of them; none where it is something else. */
export function numbersOf(attribute: Attribute | undefined): number[] {
  return exactNumbersOf(attribute).map(Number);
}

/** Elements of a tensor of real numbers as binary64. */
export function floatsIn({ dtype, data }: Tensor): Float64Array {
  if (dtype === "float16") return Float64Array.from(data as Uint16Array, fromHalf);
  return Float64Array.from(data as ArrayLike<number | bigint>, Number);
}

/** The content of a side section; arrays and masks are unpacked, and may turn out to be damaged, when they are used. */
export function contentOf(side: Uint8Array): Content {
  const reader = new Reader(side, "dataset side"), size = reader.varint();
  if (size > MOST_BYTES) throw new LimitError(`dataset side: declares ${size} bytes; this reader accepts ${MOST_BYTES}`);
  const stream = reader.take(reader.remaining);
  const beginning = (length: number) => inflate(stream, length, "dataset side").subarray(0, Math.min(length, size));
  const head = new Reader(beginning(VARINT), "dataset side"), length = head.varint();
  if (length > MOST_META) {
    throw new LimitError(`dataset side: ${length} bytes of metadata; this reader accepts ${MOST_META}`);
  }
  const start = head.position + length;
  const coded = new Reader(beginning(start).subarray(head.position), "dataset side").take(length);
  return new Metadata(decodeCbor(coded, MOST_ITEMS, false), new Body(stream, start, size)).content();
}

/** The arrays and masks behind the metadata. */
class Body {
  private data: Uint8Array | undefined;
  private known: readonly Mask[] | undefined;
  private readonly shapes: (readonly number[])[] = [];

  constructor(private readonly stream: Uint8Array, private end: number, readonly size: number) {}

  /** The elements of the next array, which takes so many bytes. */
  array<T>(bytes: number, read: (reader: Reader) => T): () => T {
    const start = this.end;
    this.end += bytes;
    // Checked here, because a dataset of many arrays may declare more than there can be.
    expect(this.end <= this.size, FORM);
    let elements: T | undefined;
    return () => (elements ??= read(new Reader(this.unpacked().subarray(start), "dataset side")));
  }

  /** The next mask; all arrays are before all masks. */
  mask(shape: readonly number[]): () => Mask {
    const number = this.shapes.push(shape) - 1;
    return () => this.masks()[number];
  }

  /** The declared length is that of the arrays where there are no masks. */
  check(): void {
    expect(this.shapes.length > 0 || this.end === this.size, FORM);
  }

  private masks(): readonly Mask[] {
    if (this.known === undefined) {
      const reader = new Reader(this.unpacked().subarray(this.end), "dataset side");
      this.known = this.shapes.map((shape) => new Mask(reader, shape));
      reader.end();
    }
    return this.known;
  }

  private unpacked(): Uint8Array {
    if (this.data === undefined) {
      const data = inflate(this.stream, this.size, "dataset side");
      expect(data.length === this.size, `dataset side: expected ${this.size} bytes, unpacked`);
      this.data = data;
    }
    return this.data;
  }
}

/** The metadata, and what they say of the bytes behind them. */
class Metadata {
  private readonly dims = new Map<string, number>();
  private readonly names: string[];
  private readonly records: readonly Cbor[];
  private readonly parts: readonly Cbor[];
  private readonly more: CborMap;

  constructor(meta: Cbor, private readonly body: Body) {
    expect(isList(meta) && (meta.length === 6 || meta.length === 7), FORM);
    expect(meta.every((part, i) => (i === 1 || i === 6 ? isMap(part) : isList(part))), FORM);
    this.parts = meta;
    this.records = meta[5] as Cbor[];
    this.more = (meta[6] as CborMap | undefined) ?? new Map();
    if (this.records.length > MOST_VARIABLES) {
      throw new LimitError(`dataset side: ${this.records.length} variables; this reader accepts ${MOST_VARIABLES}`);
    }
    for (const entry of meta[0] as Cbor[]) {
      expect(isList(entry) && entry.length === 2, FORM);
      const [name, size] = entry;
      expect(typeof name === "string" && isWhole(size, 1, MOST_SIZE) && !this.dims.has(name), FORM);
      this.dims.set(name, size);
    }
    this.names = [...this.dims.keys()];
  }

  content(): Content {
    for (const entry of this.entries("enums", 3)) checkEnum(entry);
    const records = this.records.map((record) => this.variable(record));
    expect(new Set(records.map(({ variable }) => variable.name)).size === records.length, FORM);
    const masks = (this.parts[4] as Cbor[]).map((numbers) => {
      const dims = this.named(numbers);
      expect(dims.length > 0, FORM);
      return { dims, mask: this.body.mask(this.shape(dims)) };
    });
    this.body.check();
    const gaps = records.map((): Gap[] => []);
    const add = (number: number, held: number | bigint | undefined, mask: Cbor): void => {
      expect(isWhole(mask, 0, masks.length - 1) && held !== undefined, FORM);
      const { dims } = records[number].variable;
      expect(masks[mask].dims.every((name) => dims.includes(name)), FORM);
      gaps[number].push({ number: held, ...masks[mask] });
    };
    records.forEach(({ variable, mask }, number) => {
      if (mask >= 0) add(number, declaredFill(variable), mask);
    });
    for (const [number, entry, mask] of this.entries("gaps", 3)) {
      const { variable } = records[number as number], held = attributeOf(entry);
      expect(variable.levels !== undefined && isTensor(held) && held.dtype === variable.dtype && held.shape.length === 0, FORM);
      expect(isScalar(entry), FORM);
      add(number as number, held.dtype === "float16" ? fromHalf(held.data[0] as number) : held.data[0], mask);
    }
    const variables = records.map(({ variable }, number) => ({ ...variable, gaps: gaps[number] }));
    expect(variables.some(({ levels }) => levels !== undefined), FORM);
    const used = new Set(variables.flatMap(({ dims }) => dims));
    expect(used.size === this.dims.size, FORM);
    this.checkUnused();
    const [lat, lon, sphere] = this.parts[3] as Cbor[], hasEarth = lat !== undefined;
    expect(
      !hasEarth || ((this.parts[3] as Cbor[]).length === 3 && typeof lat === "string" && typeof lon === "string" && typeof sphere === "boolean"),
      FORM,
    );
    return {
      dims: this.dims,
      attrs: attributesOf(this.parts[1]),
      variables,
      unlimited: this.named(this.parts[2]),
      earth: hasEarth ? { lat: lat as string, lon: lon as string, sphere: sphere as boolean } : undefined,
      steady: this.named(this.more.get("steady") ?? []),
      unpacked: this.body.size,
    };
  }

  private shape(dims: readonly string[]): number[] {
    return dims.map((name) => this.dims.get(name)!);
  }

  /** Names of dimensions by their numbers. */
  private named(numbers: Cbor, repeated = false): string[] {
    expect(isList(numbers) && numbers.length <= MOST_DIMS, FORM);
    const dims = numbers.map((number) => {
      expect(isWhole(number, 0, this.names.length - 1), FORM);
      return this.names[number];
    });
    expect(productOf(this.shape(dims)) <= MOST_SIZE, FORM);
    expect(repeated || new Set(dims).size === dims.length, FORM);
    return dims;
  }

  /** A variable without its gaps, and the number of the mask of its declared fill value or -1. */
  private variable(record: Cbor): { variable: Variable; mask: number } {
    expect(isList(record) && record.length >= 4 && record.length <= 6, FORM);
    const [name, numbers, dtype, entries, fifth, mask] = record;
    expect(typeof name === "string" && typeof dtype === "string", FORM);
    const attrs = attributesOf(entries), dims = this.named(numbers, record.length < 6), count = productOf(this.shape(dims));
    const variable = { name, dims, dtype, attrs, gaps: [] };
    if (record.length === 6) {
      const levels = Levels.of(fifth);
      expect(isWhole(mask, -1, Infinity) && isNumeric(dtype) && dims.length > 0, FORM);
      expect(levels.dtype === dtype || levels.dtype === unsignedOf(dtype, attrs), FORM);
      return { variable: { ...variable, levels }, mask };
    }
    if (record.length === 5) {
      expect(dtype === "text" && isList(fifth) && fifth.length === count, FORM);
      expect(fifth.every((text) => typeof text === "string"), FORM);
      return { variable: { ...variable, elements: () => fifth as string[] }, mask: -1 };
    }
    let elements: () => Numbers;
    if ((DTYPES as readonly string[]).includes(dtype)) {
      const known = dtype as DType, width = allocate(known, 0).BYTES_PER_ELEMENT;
      elements = this.body.array(1 + count * width, (reader) => readArray(reader, known, count));
    } else {
      expect(/^S[1-9][0-9]{0,4}$/.test(dtype), FORM);
      const bytes = count * Number(dtype.slice(1));
      elements = this.body.array(bytes, (reader) => reader.take(bytes));
    }
    return { variable: { ...variable, elements }, mask: -1 };
  }

  /** The entries about variables of a part that old files lack; each begins with the number of a variable. */
  private entries(key: string, length: number): (readonly Cbor[])[] {
    const entries = this.more.get(key) ?? [];
    expect(isList(entries), FORM);
    return entries.map((entry) => {
      expect(isList(entry) && entry.length === length && isWhole(entry[0], 0, this.records.length - 1), FORM);
      return entry;
    });
  }

  private checkUnused(): void {
    const entries = this.more.get("unused") ?? [], found = new Set(this.names);
    expect(isList(entries), FORM);
    for (const entry of entries) {
      expect(isList(entry) && entry.length === 3, FORM);
      const [name, size, grows] = entry;
      expect(typeof name === "string" && isWhole(size, 0, MOST_SIZE) && typeof grows === "boolean" && !found.has(name), FORM);
      found.add(name);
    }
  }
}

function checkEnum([, name, members]: readonly Cbor[]): void {
  expect(typeof name === "string" && isMap(members), FORM);
  for (const [key, value] of members) {
    expect(typeof key === "string" && (typeof value === "number" || typeof value === "bigint"), FORM);
  }
}

/** The first number that the attributes declare for missing values, as the dtype holds it; undefined where it cannot. */
function declaredFill({ attrs, dtype }: Variable): number | bigint | undefined {
  const found = [attrs.get("_FillValue"), attrs.get("missing_value")].flatMap(exactNumbersOf);
  const number = found.length > 0 ? found[0] : NaN;
  if (isFloat(dtype as DType)) return Number(number);
  if (typeof number === "number" && !Number.isInteger(number)) return undefined;
  const whole = BigInt(number), [least, most] = rangeOf(dtype as DType);
  const wide = dtype.endsWith("int64"); // whose ends are one more than the largest
  if (whole < least || (wide ? whole >= most : whole > most)) return undefined;
  return wide ? whole : Number(whole);
}

/** As `numbersOf`, with integers of 64 bits as they are. */
function exactNumbersOf(attribute: Attribute | undefined): (number | bigint)[] {
  if (Array.isArray(attribute)) {
    const numbers = attribute.map((item) => (Array.isArray(item) ? [] : exactNumbersOf(item)));
    return numbers.every(({ length }) => length === 1) ? numbers.flat() : [];
  }
  if (typeof attribute === "number" || typeof attribute === "bigint") return [attribute];
  if (attribute === undefined || !isTensor(attribute) || attribute.dtype === "bool") return [];
  return attribute.dtype.endsWith("int64") ? Array.from(attribute.data as BigInt64Array) : Array.from(floatsIn(attribute));
}

function attributesOf(value: Cbor): Map<string, Attribute> {
  expect(isMap(value), FORM);
  const attrs = new Map<string, Attribute>();
  for (const [key, item] of value) {
    expect(typeof key === "string", FORM);
    attrs.set(key, attributeOf(item));
  }
  for (const name of COMPUTED) expect(isFlat(attrs.get(name)), FORM);
  return attrs;
}

function attributeOf(value: Cbor): Attribute {
  if (value instanceof CborFloat) return value.value;
  if (isList(value)) return value.map(attributeOf);
  if (!isMap(value)) return value;
  return value.has(0) ? numberOf(value) : attributesOf(value);
}

/** An entry {0: [dtype, bytes]} or {0: [dtype, bytes, shape]}. */
function numberOf(value: CborMap): Tensor {
  const entry = value.get(0);
  expect(value.size === 1 && isList(entry) && (entry.length === 2 || entry.length === 3), FORM);
  const [number, bytes, shape = []] = entry;
  expect(isWhole(number, 0, DTYPES.length - 1) && bytes instanceof Uint8Array && isList(shape), FORM);
  expect(shape.length <= MOST_AXES && shape.every((n) => isWhole(n, 0, MOST_SIZE)), FORM);
  const sizes = shape as number[], count = productOf(sizes);
  expect(productOf(sizes.map((n) => Math.max(n, 1))) <= MOST_SIZE, FORM);
  const dtype = DTYPES[number], data = allocate(dtype, bytes.length === 0 ? 0 : count <= bytes.length ? count : 0);
  expect(data.length === count && data.byteLength === bytes.length, FORM);
  new Uint8Array(data.buffer).set(bytes);
  return { dtype, shape: sizes, data };
}

/** Whether an entry is a number by itself, without a shape. */
function isScalar(value: Cbor): boolean {
  return isMap(value) && isList(value.get(0)) && (value.get(0) as Cbor[]).length === 2;
}

/** Whether an attribute is a single thing, or a list of such. */
function isFlat(value: Attribute | undefined): boolean {
  if (Array.isArray(value)) return value.every((item) => !Array.isArray(item) && !(item instanceof Map) && !(isTensor(item) && item.shape.length > 0));
  return !(value instanceof Map) && !(value !== undefined && isTensor(value) && value.shape.length > 1);
}

function isTensor(value: Attribute): value is Tensor {
  return value !== null && typeof value === "object" && "dtype" in value;
}

/** The dtype that the numbers stand for, by the attribute `_Unsigned` of netCDF's classic packing. */
export function unsignedOf(dtype: string, attrs: Attributes): string {
  const said = attrs.get("_Unsigned");
  return /^int/.test(dtype) && (said === "true" || said === "True") ? `u${dtype}` : dtype;
}
