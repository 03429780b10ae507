/** Brotli streams in files, decompressed in bounded memory. */

import { InputError } from "../errors";
import { decompress } from "./brotli";

let dictionary: Uint8Array | undefined;

/** A stream refers to Brotli's dictionary, which is not loaded: await `loadBrotli`, and decode again. */
export class BrotliNeededError extends InputError {}

/** Loads Brotli's dictionary, 70 kB that few files need. */
export async function loadBrotli(): Promise<void> {
  const { COMPRESSED } = await import("./brotli_dictionary");
  dictionary ??= decompress(Uint8Array.from(atob(COMPRESSED), (character) => character.charCodeAt(0)), 2 ** 17, "dictionary", words);
}

/** What a function returns; Brotli's dictionary is loaded where it turns out to be needed. */
export async function withBrotli<T>(decode: () => T): Promise<T> {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof BrotliNeededError)) throw error;
    await loadBrotli();
    return decode();
  }
}

/**
 * A whole Brotli stream, or the first `most` + 1 bytes of a longer one.
 * `MalformedError`, `TruncatedError`: damaged, or truncated; `name` is what the message calls the stream.
 * `BrotliNeededError`: see `loadBrotli`.
 */
export function inflate(data: Uint8Array, most: number, name: string): Uint8Array {
  return decompress(data, most, name, words);
}

function words(): Uint8Array {
  if (dictionary === undefined) throw new BrotliNeededError("a Brotli stream needs Brotli's dictionary; await loadBrotli()");
  return dictionary;
}
