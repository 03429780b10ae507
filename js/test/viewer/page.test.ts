/** The viewer in Chromium: it opens each kind, its pixels are those of the decoder, and damage is one line. */

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadBrotli } from "../../src/coding/inflate";
import { open, SignalFile } from "../../src/decoding";
import { toRGBA8 } from "../../src/signals/canvas";
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
  let browser: Browser, server: Server, served = new Map<string, string | Uint8Array>(), requests: string[] = [];

  beforeAll(async () => {
    await loadBrotli();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    server = createServer((request, response) => {
      const path = request.url!.split("?")[0].slice(1), content = served.get(path), range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "");
      requests.push(`${path} ${request.headers.range ?? ""}`.trim());
      if (content === undefined) return response.writeHead(404).end();
      const bytes = Buffer.from(content);
      if (range === null || typeof content === "string") return response.writeHead(200, { "Content-Type": path.endsWith("html") ? "text/html" : "application/x-sinr" }).end(bytes);
      const [start, end] = [Number(range[1]), Math.min(range[2] ? Number(range[2]) + 1 : bytes.length, bytes.length)];
      response.writeHead(206, { "Content-Range": `bytes ${start}-${end - 1}/${bytes.length}` }).end(bytes.subarray(start, end));
    }).listen(0);
  }, 60_000);

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
  }, 60_000);

  test("slices, maps and frames are those of the decoder", async () => {
    const page = await shown("exact/video"), { data } = await pixelsOf(page, "canvas");
    const frame = (opened("exact/video") as unknown as { render(options: object): { data: Uint8Array } }).render({ region: [[0, 1]] });
    expect(data.filter((_, i) => i % 4 < 3)).toEqual(Array.from(frame.data));
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

  test("all controls have names", async () => {
    const page = await shown("exact/volume");
    const unnamed = await page.$$eval("button, input, select, canvas, [tabindex='0']", (elements) =>
      elements.filter((e) => !(e.getAttribute("aria-label") || e.textContent?.trim() || e.closest("label")?.textContent?.trim())).map((e) => e.outerHTML));
    expect(unnamed).toEqual([]);
    await page.close();
  }, 60_000);
});
