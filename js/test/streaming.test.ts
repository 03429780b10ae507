import { describe, expect, it } from "vitest";
import { ChecksumError, InputError, LimitError, MalformedError, openInSteps, openUrl, TruncatedError, type UrlOptions } from "../src/index";
import { open } from "../src/index";
import { bytesOf } from "./conformance";

/** A server of one file, which notes what it is asked for; it sends bodies in pieces. */
function server(file: Uint8Array, { ranges = true, piece = 40, status = 0 } = {}) {
  const asked: string[] = [], sent = { bytes: 0 };
  const answer: typeof fetch = async (_, init) => {
    const range = new Headers(init?.headers).get("Range"), [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
    asked.push(range ?? "all");
    const isPart = ranges && range !== null, stop = isPart ? Math.min(Number(last) + 1, file.length) : file.length;
    let at = isPart ? Number(first) : 0;
    const headers = isPart ? { "Content-Range": `bytes ${at}-${stop - 1}/${file.length}` } : undefined;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= stop) return controller.close();
        const some = file.slice(at, Math.min(at + piece, stop));
        at += some.length;
        sent.bytes += some.length;
        controller.enqueue(some);
      },
    });
    return new Response(body, { status: status || (isPart ? 206 : 200), headers });
  };
  return { asked, sent, fetch: answer };
}

/** A file in blocks. */
const BLOCKS = bytesOf("signals/volume-blocks.sinr");

async function remote(file: Uint8Array, options: UrlOptions = {}, of = {}) {
  const there = server(file, of), { file: opened, load } = await openUrl("https://example.org/a.sinr", { fetch: there.fetch, ...options });
  return { ...there, file: opened, load };
}

describe("openUrl", () => {
  it.each([["direct", true], ["direct", false], ["signals/dataset", true], ["signals/dataset-blocks", false], ["state", true]])(
    "opens %s with ranges: %s", async (name, ranges) => {
      const bytes = bytesOf(`${name}.sinr`), { file, asked, load } = await remote(bytes, {}, { ranges });
      await load();
      expect(file.info()).toEqual(open(bytes).info());
      expect(asked).toEqual(["bytes=0-65535"]);
    });

  it("loads the networks that a region needs, and no others", async () => {
    const { file, asked, sent, load } = await remote(BLOCKS, { firstBytes: 128 });
    if (file.kind !== "volume") throw new Error("no volume");
    const before = sent.bytes, sections = file.sections(), region = [[30, 37], [0, 5]] as const;
    expect(() => file.render({ region })).toThrow(InputError);
    expect(file.spec.partsFor({ region })).toEqual([2]);
    await load({ region });
    expect(sent.bytes - before).toBe(sections[2].length + 4);
    const whole = open(BLOCKS);
    if (whole.kind !== "volume") throw new Error("no volume");
    expect(file.render({ region })).toEqual(whole.render({ region }));
    await load({ region });
    expect(asked.slice(1)).toEqual([`bytes=${sections[2].offset}-${sections[2].offset + sections[2].length + 3}`]);
    await load();
    expect(file.render()).toEqual(whole.render());
    // One request for the sections on both sides, which are near each other.
    expect(asked).toHaveLength(3);
  });

  it("loads a side section at once, and a header of any length", async () => {
    const bytes = bytesOf("signals/dataset-blocks.sinr"), { file, load } = await remote(bytes, { firstBytes: 16 });
    if (file.kind !== "dataset") throw new Error("no dataset");
    expect(file.info()).toEqual(open(bytes).info());
    const options = { variables: ["t"], region: { time: [0, 1], lon: [0, 4] } } as const;
    await load(options);
    expect(file.spec.partsFor(options).length).toBeLessThan(4);
    expect(file.render(options).variables.get("t")!.shape).toEqual([1, 11, 4]);
  });

  it("refuses what is no file, damaged or too long", async () => {
    const damaged = BLOCKS.slice();
    damaged[BLOCKS.length - 10] ^= 1;
    const { load } = await remote(damaged, { firstBytes: 128 });
    await expect(load()).rejects.toThrow(ChecksumError);
    await expect(remote(BLOCKS.subarray(0, 900), { firstBytes: 128 })).rejects.toThrow(TruncatedError);
    await expect(remote(BLOCKS.subarray(0, 14), { firstBytes: 8 })).rejects.toThrow(TruncatedError);
    await expect(remote(Uint8Array.of(...BLOCKS, 0), { firstBytes: 128 })).rejects.toThrow(MalformedError);
    await expect(remote(BLOCKS, { limits: { maxFileBytes: 500 } }, { ranges: false })).rejects.toThrow(LimitError);
    await expect(remote(BLOCKS, { limits: { maxFileBytes: 500 } })).rejects.toThrow(LimitError);
    await expect(remote(BLOCKS, {}, { status: 404 })).rejects.toThrow(InputError);
  });
});

describe("openInSteps", () => {
  it("gives a progressive picture with one more plane each time", async () => {
    const bytes = bytesOf("progressive.sinr"), planes: number[] = [], pictures: unknown[] = [];
    for await (const file of openInSteps("https://example.org/a.sinr", { fetch: server(bytes, { piece: 7 }).fetch })) {
      if (file.kind !== "image") throw new Error("no picture");
      planes.push(file.info().planes[0]);
      pictures.push(file.render().data);
    }
    expect(planes).toEqual([0, 1, 2, 3]);
    const whole = open(bytes);
    expect(pictures.at(-1)).toEqual(whole.kind === "image" && whole.render().data);
    expect(pictures[0]).not.toEqual(pictures[3]);
  });

  it("gives other files once", async () => {
    const kinds: string[] = [];
    for await (const file of openInSteps("https://example.org/a.sinr", { fetch: server(bytesOf("signals/volume.sinr")).fetch })) kinds.push(file.kind);
    expect(kinds).toEqual(["volume"]);
  });

  it("refuses a file that ends early", async () => {
    const steps = openInSteps("https://example.org/a.sinr", { fetch: server(bytesOf("progressive.sinr").subarray(0, -3)).fetch });
    await expect((async () => { for await (const file of steps) expect(file.kind).toBe("image"); })()).rejects.toThrow(TruncatedError);
  });
});
