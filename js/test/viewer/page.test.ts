/** The viewer in Chromium: it opens each kind, its pixels are those of the decoder, and damage is one line. */

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadBrotli } from "../../src/coding/inflate";
import { open, SignalFile } from "../../src/decoding";
import { toRGBA8 } from "../../src/signals/canvas";
import { physical, type DatasetRendering } from "../../src/signals/dataset";
import type { VolumeRendering, VolumeSpec } from "../../src/signals/volume";
import { bytesOf } from "../conformance";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
if (CHROMIUM === undefined) {
  const missing = "no Chromium was found; on Debian, apt-get install chromium";
  if (process.env.CI) throw new Error(missing);
  console.warn(`the viewer is not tested: ${missing}`);
}
const FLAGS = [
  "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--no-first-run",
];
const HELD = 4; // bytes of a file that comes slowly which come last of all
const BUILT = new URL("../../../src/sinr_codec/view/page.html", import.meta.url).pathname;

/** The page with a file in it, as `sinr view` makes it. */
function pageOf(name: string, bytes: Uint8Array): string {
  const data = `<script type="application/octet-stream;base64" id="sinr-file" data-name="${name}">${Buffer.from(bytes).toString("base64")}</script>`;
  return readFileSync(BUILT, "utf-8").replace("<!-- sinr-file -->", () => data);
}

test("the page that is in the package is the one that is built from here", () => {
  const before = readFileSync(BUILT, "utf-8");
  execFileSync("npm", ["run", "--silent", "page"], { cwd: new URL("../..", import.meta.url), stdio: "ignore" });
  expect(readFileSync(BUILT, "utf-8") === before, "npm run page, and commit what it builds").toBe(true);
});

describe.skipIf(CHROMIUM === undefined)("in a browser", () => {
  let browser: Browser, server: Server, served = new Map<string, string | Uint8Array>(), requests: string[] = [], held: (() => void)[] = [];

  beforeAll(async () => {
    await loadBrotli();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    server = createServer((request, response) => {
      const path = request.url!.split("?")[0].slice(1), content = served.get(path), range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "");
      requests.push(`${path} ${request.headers.range ?? ""}`.trim());
      if (content === undefined) return response.writeHead(404).end();
      if (path === "slow.sinr") return void trickle(response, content as Uint8Array);
      const bytes = Buffer.from(content);
      if (range === null || typeof content === "string") return response.writeHead(200, { "Content-Type": path.endsWith("html") ? "text/html" : "application/x-sinr" }).end(bytes);
      const [start, end] = [Number(range[1]), Math.min(range[2] ? Number(range[2]) + 1 : bytes.length, bytes.length)];
      response.writeHead(206, { "Content-Range": `bytes ${start}-${end - 1}/${bytes.length}` }).end(bytes.subarray(start, end));
    }).listen(0);
  }, 60_000);

  /** Sends bytes in pieces with pauses, the last ones never. */
  async function trickle(response: ServerResponse, bytes: Uint8Array): Promise<void> {
    response.writeHead(200, { "Content-Type": "application/x-sinr", "Content-Length": bytes.length });
    for (let at = 0; at < bytes.length - HELD; at += 16) {
      response.write(bytes.subarray(at, Math.min(at + 16, bytes.length - HELD)));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    held.push(() => response.end(bytes.subarray(bytes.length - HELD)));
  }

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  const address = (path: string) => `http://localhost:${(server.address() as AddressInfo).port}/${path}`;

  /** A page that shows a file, once it says that it does. */
  async function shown(name: string, bytes = bytesOf(`${name}.sinr`), size = { width: 900, height: 600 }): Promise<Page> {
    const page = await browser.newPage({ viewport: size }), errors: string[] = [];
    page.on("pageerror", ({ message }) => errors.push(message));
    served = new Map([["page.html", pageOf("it.sinr", bytes)]]);
    await page.goto(address("page.html"));
    await page.waitForSelector('#stage [data-done]:not([data-done="false"])', { timeout: 30_000 });
    expect(errors).toEqual([]);
    return page;
  }

  /** RGBA of a canvas. */
  async function pixelsOf(page: Page, selector: string): Promise<{ width: number; height: number; data: number[] }> {
    return page.$eval(selector, (element) => {
      const canvas = element as HTMLCanvasElement, { width, height } = canvas;
      return { width, height, data: Array.from(canvas.getContext("2d")!.getImageData(0, 0, width, height).data) };
    });
  }

  function opened(name: string): SignalFile<never> {
    return open(bytesOf(`${name}.sinr`)) as unknown as SignalFile<never>;
  }

  test.each(["exact/audio", "exact/dataset", "exact/shape", "exact/video", "exact/volume", "signals/radiance", "state", "bases/shared", "deep", "exact/blocks"])(
    "%s is shown",
    async (name) => {
      const page = await shown(name);
      expect(await page.textContent("h1")).toBe("it.sinr");
      expect(await page.isHidden("#problem")).toBe(true);
      await page.click("#details");
      expect(await page.textContent("#panel")).toContain("all checksums match");
      await page.close();
    },
    60_000,
  );

  test("pixels of an exact picture are those of the decoder, at its own size and zoomed", async () => {
    const page = await shown("pyramids/rgb"), file = opened("pyramids/rgb") as unknown as { render(options: object): never };
    const compare = async (scale: number): Promise<void> => {
      const { width, data } = await pixelsOf(page, "canvas"), samples = file.render({ scale }) as { shape: number[]; mode: string } & Parameters<typeof toRGBA8>[0];
      const [h, w] = samples.shape, wanted = toRGBA8(samples, samples), canvas = await page.$eval("canvas", (c) => [(c as HTMLCanvasElement).width, (c as HTMLCanvasElement).height]);
      const [left, top] = [Math.round(canvas[0] / 2 - (50 * scale) / 2), Math.round(canvas[1] / 2 - (37 * scale) / 2)];
      let differ = 0;
      for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
        const at = 4 * ((top + y) * width + left + x);
        for (let c = 0; c < 3; c++) if (data[at + c] !== wanted[4 * (y * w + x) + c]) differ++;
      }
      expect(differ).toBe(0);
    };
    await page.click("text=1 : 1");
    await page.waitForSelector('#stage [data-done="true"][data-zoom="1"]');
    await compare(1);
    for (let i = 0; i < 2; i++) {
      await page.$eval("canvas", (canvas) => {
        const { left, top, width, height } = canvas.getBoundingClientRect(), middle = { clientX: left + width / 2, clientY: top + height / 2 };
        canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -300, ...middle, cancelable: true }));
      });
    }
    await page.waitForSelector('#stage [data-done="true"][data-zoom="4"]');
    await compare(4);
    await page.close();
  }, 120_000);

  test("slices, maps and frames are those of the decoder", async () => {
    const page = await shown("exact/video"), { data } = await pixelsOf(page, "canvas");
    const frame = (opened("exact/video") as unknown as { render(options: object): { data: Uint8Array } }).render({ region: [[0, 1]] });
    expect(data.filter((_, i) => i % 4 < 3)).toEqual(Array.from(frame.data));
    await page.close();
  }, 60_000);

  test("coast lines are where the mask of a variable ends, and no variable without a mask has any", async () => {
    const page = await shown("exact/dataset"), lines = () => page.getAttribute(".coast path", "d");
    const file = opened("exact/dataset") as unknown as { render(options: object): DatasetRendering };
    const sst = file.render({ variables: ["sst"], region: { time: [0, 1] } }).variables.get("sst")!, [, height, width] = sst.shape;
    const isMissing = Array.from(physical(sst), Number.isNaN), at = (y: number, x: number) => isMissing[y * width + x], wanted: string[] = [];
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      if (x > 0 && at(y, x - 1) !== at(y, x)) wanted.push(`M${x} ${y}v1`);
      if (y > 0 && at(y - 1, x) !== at(y, x)) wanted.push(`M${x} ${y}h1`);
    }
    expect(wanted.length).toBeGreaterThan(4);
    expect((await lines())!.match(/M[^M]+/g)!.sort()).toEqual(wanted.sort());
    await page.selectOption("#variable", "wind");
    await page.waitForSelector('#stage [data-done="wind"]');
    expect(await lines()).toBe("");
    await page.close();
  }, 60_000);

  test("the value under the cursor is that of the cell there, in a wide window", async () => {
    const page = await shown("exact/dataset", undefined, { width: 1600, height: 500 }), box = (await page.locator("#stage canvas").first().boundingBox())!;
    expect(box.width / box.height).toBeCloseTo(12 / 9, 1);
    await page.mouse.move(box.x + (0.5 / 12) * box.width, box.y + (3.5 / 9) * box.height);
    const { variables } = (opened("exact/dataset") as unknown as { render(options: object): DatasetRendering }).render({ region: { time: [0, 1] } });
    const lat = physical(variables.get("lat")!), row = lat[0] < lat[8] ? 8 - 3 : 3; // north is up
    const said = Number.parseFloat((await page.locator("output.where").textContent())!);
    expect(said).toBeCloseTo(physical(variables.get("sst")!)[row * 12], 1);
    await page.close();
  }, 60_000);

  test.each(["exact/volume", "exact/volume-blocks", "signals/volume-ome"])("%s is downloaded as NIfTI", async (name) => {
    const page = await shown(name), coming = page.waitForEvent("download");
    await page.click("text=Download as NIfTI");
    const download = await coming, bytes = gunzipSync(readFileSync(await download.path())), view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    expect(download.suggestedFilename()).toBe("it.nii.gz");
    const file = opened(name) as unknown as { spec: VolumeSpec; render(options: object): VolumeRendering }, { spec } = file, { shape, dtype, data } = file.render({});
    const sizes = shape.map((_, i) => view.getInt16(42 + 2 * i, true)), start = view.getFloat32(108, true);
    expect([view.getInt32(0, true), view.getInt16(40, true), sizes]).toEqual([348, shape.length, shape]);
    expect(view.getInt16(70, true)).toBe({ int16: 4, uint16: 512 }[dtype as "int16"]);
    expect(bytes.toString("latin1", 344, 347)).toBe("n+1");
    expect(bytes.length - start).toBe(data.byteLength);
    // Voxel (i, j, k, ...) of the file, whose first axis is the fastest, is that of the rendering.
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
    const wanted = Array.from({ length: data.length }, (_, to) => {
      let rest = to, from = 0;
      shape.forEach((n, axis) => {
        from += (rest % n) * strides[axis];
        rest = Math.floor(rest / n);
      });
      return Number(data[from]);
    });
    expect(wanted.map((_, i) => (dtype === "int16" ? view.getInt16(start + 2 * i, true) : view.getUint16(start + 2 * i, true)))).toEqual(wanted);
    for (let axis = 0; axis < 3; axis++) expect(view.getFloat32(80 + 4 * axis, true)).toBeCloseTo(spec.spacing[axis], 5);
    if (spec.format === ".nii") expect(bytes.subarray(112, start)).toEqual(Buffer.from(spec.metadata).subarray(112));
    else expect([0, 1, 2].map((axis) => view.getFloat32(280 + 20 * axis, true))).toEqual([0, 1, 2].map((axis) => Math.fround(spec.spacing[axis])));
    await page.close();
  }, 60_000);

  test("a progressive file that comes slowly is drawn before its last bytes are there, and again with them", async () => {
    const page = await browser.newPage({ viewport: { width: 400, height: 400 } }), planes = () => page.textContent("#panel");
    served = new Map<string, string | Uint8Array>([["page.html", readFileSync(BUILT, "utf-8")], ["slow.sinr", bytesOf("progressive.sinr")]]);
    held = [];
    await page.goto(`${address("page.html")}?file=slow.sinr`);
    await page.waitForFunction(() => document.getElementById("panel")!.textContent!.includes("planes2 of 3"), undefined, { timeout: 30_000 });
    await page.waitForSelector('#stage [data-done="true"]', { timeout: 30_000 });
    const before = await pixelsOf(page, "#stage canvas");
    expect(before.data.some((value, i) => i % 4 < 3 && value > 0)).toBe(true);
    expect(await planes()).toContain("planes2 of 3");
    held.forEach((release) => release());
    await page.waitForFunction(() => document.getElementById("panel")!.textContent!.includes("planes3 of 3"), undefined, { timeout: 30_000 });
    await expect.poll(async () => (await pixelsOf(page, "#stage canvas")).data.some((value, i) => value !== before.data[i]), { timeout: 20_000 }).toBe(true);
    await page.close();
  }, 60_000);

  test("a zoom is said in whole percent", async () => {
    const page = await shown("pyramids/rgb");
    await page.click("text=1 : 1");
    await page.waitForSelector('#stage [data-zoom="1"]');
    expect(await page.textContent(".bar .where")).toBe("100 %");
    await page.close();
  }, 60_000);

  test("a file at an address is read by ranges", async () => {
    const page = await browser.newPage();
    served = new Map<string, string | Uint8Array>([["page.html", readFileSync(BUILT, "utf-8")], ["blocks.sinr", bytesOf("blocks.sinr")]]);
    requests = [];
    await page.goto(`${address("page.html")}?file=blocks.sinr`);
    await page.waitForSelector('#stage [data-done="true"]', { timeout: 30_000 });
    expect(requests.filter((each) => each.startsWith("blocks.sinr bytes="))).not.toEqual([]);
    expect(await page.textContent("h1")).toBe("blocks.sinr");
    await page.close();
  }, 60_000);

  test.each([["damaged", (bytes: Uint8Array) => bytes.map((byte, i) => (i === 60 ? byte ^ 1 : byte))], ["cut off", (bytes: Uint8Array) => bytes.slice(0, 50)], ["foreign", () => new Uint8Array(99)]] as const)(
    "a %s file is one line",
    async (_, change) => {
      const page = await browser.newPage();
      served = new Map([["page.html", pageOf("it.sinr", change(bytesOf("direct.sinr")))]]);
      await page.goto(address("page.html"));
      await page.waitForSelector("#problem:not([hidden])");
      const line = (await page.textContent("#problem"))!;
      expect(line).toMatch(/^it\.sinr: .{10,140}$/);
      await page.close();
    },
    60_000,
  );

  test("it works from a file, without a server", async () => {
    const page = await browser.newPage();
    await page.setContent(pageOf("it.sinr", bytesOf("pyramids/gray.sinr")));
    await page.waitForSelector('#stage [data-done="true"]', { timeout: 30_000 });
    await page.close();
  }, 60_000);

  test("the window of grey says its ends, in samples", async () => {
    const page = await shown("exact/volume"), { low, high } = (opened("exact/volume") as unknown as { spec: VolumeSpec }).spec.levels;
    const said = (name: string) => page.locator("label.slider", { hasText: name }).locator("output").textContent();
    expect([await said("darkest"), await said("brightest")]).toEqual([String(low), String(high)]);
    await page.locator("label.slider", { hasText: "darkest" }).locator("input").fill("500");
    expect(await said("darkest")).toBe(String((low + high) / 2));
    await page.close();
  }, 60_000);

  test("all controls have names", async () => {
    const page = await shown("exact/volume");
    const unnamed = await page.$$eval("button, input, select, canvas, [tabindex='0']", (elements) =>
      elements.filter((e) => !(e.getAttribute("aria-label") || e.textContent?.trim() || e.closest("label")?.textContent?.trim())).map((e) => e.outerHTML));
    expect(unnamed).toEqual([]);
    await page.close();
  }, 60_000);
});
