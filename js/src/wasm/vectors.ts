/** The kernels as WebAssembly, and the memory that they work on. */

import { KERNELS } from "./kernels";

/** Functions of wasm/kernels.ts; addresses are bytes of the memory. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly affine: (x: number, count: number, inputs: number, padded: number, weight: number, bias: number, sums: number) => void;
  readonly begin: (state: number) => void;
  readonly latents: (...addresses: number[]) => number;
  readonly state: WebAssembly.Global;
  readonly next: WebAssembly.Global;
}

const PAGE = 2 ** 16, ALIGNED = 16;

/** The kernels. Their memory is that of one call: what one puts there, the next one may overwrite. */
export class Vectors {
  readonly run: Exports;
  private end = 0;

  constructor(module: WebAssembly.Module) {
    this.run = new WebAssembly.Instance(module, { env: { abort: () => undefined } }).exports as unknown as Exports;
  }

  /** Begins a call: all memory is free. */
  clear(): void {
    this.end = 0;
  }

  /** The address of room for so many bytes, and memory that is large enough for it. Views of the memory before are void. */
  room(bytes: number): number {
    const at = this.end, { memory } = this.run;
    this.end = at + Math.ceil(bytes / ALIGNED) * ALIGNED;
    const missing = this.end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
    return at;
  }

  /** The address of a copy. */
  put(data: Int32Array | Float64Array | Uint8Array): number {
    const at = this.room(data.byteLength);
    new Uint8Array(this.run.memory.buffer).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    return at;
  }
}

let known: Vectors | null | undefined;

/** The kernels, or undefined where WebAssembly or its vectors are missing. */
export function vectors(): Vectors | undefined {
  if (known === undefined) {
    try {
      known = new Vectors(new WebAssembly.Module(Uint8Array.from(atob(KERNELS), (c) => c.charCodeAt(0))));
    } catch {
      known = null;
    }
  }
  return known ?? undefined;
}
