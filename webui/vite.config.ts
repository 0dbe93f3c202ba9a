import react from "@vitejs/plugin-react";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

/** NAME.br and NAME.gz beside each file that shrinks: the parent sends what it finds (server/http/static.h). */
function precompressed(): Plugin {
  const pack = (dir: string) => {
    for (const name of readdirSync(dir)) {
      const file = join(dir, name);
      if (statSync(file).isDirectory()) pack(file);
      else if (/\.(js|css|html|svg|json|yaml)$/.test(name)) {
        const plain = readFileSync(file);
        if (plain.length < 1024) continue;
        writeFileSync(`${file}.br`, brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
        writeFileSync(`${file}.gz`, gzipSync(plain, { level: 9 }));
      }
    }
  };
  let dir = "";
  return {
    name: "inari-precompressed",
    apply: "build",
    configResolved: (c) => { dir = c.build.outDir; },
    closeBundle: () => pack(dir),
  };
}

/** The kit's own web fonts are not used (the page names system fonts): they would only make the package larger. */
function withoutKitFonts(): Plugin {
  return {
    name: "inari-without-kit-fonts",
    apply: "build",
    generateBundle(_, bundle) {
      for (const name of Object.keys(bundle)) if (/\.(woff2?|ttf)$/.test(name)) delete bundle[name];
    },
  };
}

const out = process.env["INARI_WEBUI_OUT"];
const parent = process.env["INARI_PARENT"];
export default defineConfig({
  plugins: [react(), withoutKitFonts(), precompressed()],
  build: {
    ...(out === undefined ? {} : { outDir: out }),
    emptyOutDir: true,
    assetsInlineLimit: 0, // nothing inline: the policy of the page forbids it
    modulePreload: { polyfill: false },
    target: "es2023",
    chunkSizeWarningLimit: 1200,
  },
  // npx vite with INARI_PARENT=https://host:8445: the page of this tree in front of a running parent.
  ...(parent === undefined ? {} : { server: { proxy: { "/api": { target: parent, secure: false, changeOrigin: true } } } }),
  test: { environment: "happy-dom", server: { deps: { inline: [/@patternfly\//] } } },
} as Parameters<typeof defineConfig>[0]);
