/** Arrays of numbers with a shape, as NumPy has them. */

/** Names of dtypes, as NumPy prints them. */
export type DType =
  | "bool" | "int8" | "uint8" | "int16" | "uint16" | "int32" | "uint32" | "int64" | "uint64"
  | "float16" | "bfloat16" | "float32" | "float64" | "complex64" | "complex128";

/** Numbers as this package holds them. float16 and bfloat16 are held as their bits; complex numbers as pairs. */
export type Numbers =
  | Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array
  | BigInt64Array | BigUint64Array | Float32Array | Float64Array;

/** Numbers in C order (the last axis fastest). */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Numbers;
}

/** Name, shape and dtype of a tensor. */
export interface Entry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** The parameters of a network by name, in storage order. */
export type Params = ReadonlyMap<string, Tensor>;

/** Number of entries of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Numbers that an element of a dtype takes here: two for complex ones. */
export function partsOf(dtype: DType): 1 | 2 {
  return dtype.startsWith("complex") ? 2 : 1;
}

/** Zeros for so many elements of a dtype. */
export function allocate(dtype: DType, count: number): Numbers {
  return new ARRAYS[dtype](partsOf(dtype) * count);
}

/** Bytes of an element of a dtype. */
export function bytesOf(dtype: DType): number {
  return partsOf(dtype) * ARRAYS[dtype].BYTES_PER_ELEMENT;
}

const ARRAYS = {
  bool: Uint8Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array,
  uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array, float16: Uint16Array, bfloat16: Uint16Array,
  float32: Float32Array, float64: Float64Array, complex64: Float32Array, complex128: Float64Array,
} as const satisfies Record<DType, new (count: number) => Numbers>;

/** The value of a binary16 from its bits. */
export function fromHalf(bits: number): number {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023, sign = bits >> 15 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}
