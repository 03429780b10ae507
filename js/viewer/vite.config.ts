/** Builds the viewer as one page, which is part of the Python package. */

import { defineConfig, type Plugin } from "vite";

/** Puts the script and the style sheet into the page. */
const inlined: Plugin = {
  name: "inlined",
  enforce: "post",
  generateBundle(_, bundle) {
    const page = Object.values(bundle).find((file) => file.fileName.endsWith(".html"));
    if (page?.type !== "asset") throw new Error("no page was built");
    let html = String(page.source);
    for (const file of Object.values(bundle)) {
      if (file === page) continue;
      const tag = new RegExp(`<(script|link)[^>]*"[^"]*${file.fileName}"[^>]*>(</script>)?`);
      // A script must not hold what ends its element.
      const content = file.type === "chunk"
        ? `<script type="module">${file.code.replaceAll("</script", "<\\/script")}</script>`
        : `<style>${String(file.source)}</style>`;
      if (!tag.test(html)) throw new Error(`${file.fileName} is not in the page`);
      html = html.replace(tag, () => content);
      delete bundle[file.fileName];
    }
    page.source = html.replaceAll(/\n\s*(?=\n)/g, "");
    page.fileName = "page.html";
  },
};

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  build: {
    outDir: "../../src/sinr_codec/view",
    emptyOutDir: false,
    assetsInlineLimit: Infinity,
    modulePreload: false,
    target: "es2022",
  },
  plugins: [inlined],
});
