/** Statistics of the latents of many signals, which a base has (docs/format.md, section 11, "Model of latents"). */

import { Reader } from "../container/bytes";
import { MalformedError } from "../errors";
import type { Tensor } from "../tensor";
import { closeBody, leastBytes, openBody, RangeDecoder, TOTAL } from "./rangecoder";
import { decodeRecord } from "./records";

const MOST_LEVELS = 2 ** 10;

/** Mean and reach of each latent, and how often each of its levels occurs. */
export class Statistics {
  private constructor(
    private readonly mean: Float32Array, private readonly reach: Float32Array, private readonly counts: Float64Array,
    private readonly levels: number,
  ) {}

  /** The statistics at a reader's position, of so many latents; any `FormatError`. */
  static read(reader: Reader, latents: number): Statistics {
    const levels = reader.varint(MOST_LEVELS);
    const [mean, reach] = [0, 1].map(() => decodeRecord(reader, [latents], "float32").data as Float32Array);
    const counts = Float64Array.from(decodeRecord(reader, [latents, levels], "int64").data as BigInt64Array, Number);
    if (!mean.every(Number.isFinite) || !reach.every((r) => Number.isFinite(r) && r > 0)) {
      throw new MalformedError("base: mean and reach of latents must be finite, and the reach positive");
    }
    if (levels < 2 || !counts.every((count) => count >= 0 && count < 2 ** 32)) {
      throw new MalformedError("base: the histogram of a latent has at least two levels, and counts below 2^32");
    }
    return new Statistics(mean, reach, counts, levels);
  }

  /** Latents float32 (patches, d) from a section of their levels; any `FormatError`. */
  decode(section: Uint8Array, patches: number): Tensor {
    const d = this.mean.length, count = patches * d, reader = new Reader(section, "latents"), body = openBody(reader, count);
    const begin = body.position, decoder = new RangeDecoder(body), shares = new Float64Array(count), symbols = new Float64Array(patches);
    for (let latent = 0; latent < d; latent++) {
      decoder.symbols(this.cumulative(latent), symbols);
      for (let patch = 0; patch < patches; patch++) shares[patch * d + latent] = (2 * symbols[patch]) / (this.levels - 1) - 1;
    }
    decoder.finish();
    const missing = leastBytes(count) - (body.position - begin);
    if (missing > 0 && body.take(missing).some((byte) => byte !== 0)) {
      throw new MalformedError("latents: what fills a short stream must be zeros");
    }
    closeBody(reader, body);
    reader.end();
    return this.unscaled({ dtype: "float32", shape: [patches, d], data: shares });
  }

  /** Latents float32 from numbers relative to the mean and in units of the reach, (patches, d). */
  unscaled({ shape, data }: Tensor): Tensor {
    const { mean, reach } = this, d = mean.length, shares = data as Float64Array;
    return { dtype: "float32", shape, data: Float32Array.from(shares, (share, i) => share * reach[i % d] + mean[i % d]) };
  }

  /** Cumulative frequencies of the levels of a latent, in proportion to the counts, at least 1 each. */
  private cumulative(latent: number): Uint32Array {
    const { levels } = this, counts = this.counts.subarray(latent * levels, (latent + 1) * levels);
    const sum = Math.max(1, counts.reduce((a, b) => a + b, 0));
    const frequencies = counts.map((count) => 1 + Math.floor((count * (TOTAL - levels)) / sum));
    const largest = frequencies.reduce((best, frequency, i) => (frequency > frequencies[best] ? i : best), 0);
    frequencies[largest] += TOTAL - frequencies.reduce((a, b) => a + b, 0);
    const cumulative = new Uint32Array(levels + 1);
    frequencies.forEach((frequency, i) => (cumulative[i + 1] = cumulative[i] + frequency));
    return cumulative;
  }
}
