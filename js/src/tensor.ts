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

/** The parameters of a network by name, in storage order. */
export type Params = ReadonlyMap<string, Tensor>;

/** Number of entries of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}
