// The pictures of docs/screens: run.py --screens.  A little mail first, so that there is something to be seen.
import { mkdirSync, statSync } from "node:fs";

const FOLDER = new URL("../../docs/screens/", import.meta.url).pathname, MOST = 150_000;
const SCREENS = [["overview", "/overview"], ["devices", "/devices"], ["settings", "/settings"], ["messages", "/messages"], ["rollouts", "/rollouts"], ["wizard", "/wizard"]];

export default async ({ page, base, user, password, onHost, children, language }) => {
  mkdirSync(FOLDER, { recursive: true });
  const code = "import smtplib,sys\nfor n in range(1,9):\n with smtplib.SMTP(sys.argv[1],25,timeout=20) as s:\n  s.sendmail('ann@outside.test',['postmaster@example.test'],'From: ann@outside.test\\r\\nTo: postmaster@example.test\\r\\nSubject: Report %d\\r\\n\\r\\nhello\\r\\n' % n)\n";
  for (const c of children) onHost("outside", "/usr/bin/python3", "-c", code, c.address);
  await page.goto(base);
  await page.getByRole("textbox", { name: "User name" }).fill(user);
  await page.getByRole("textbox", { name: "Password" }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: /^Account of/ }).waitFor();
  for (const lang of ["en", "ja"]) {
    await language(lang);
    for (const [name, path] of SCREENS) {
      await page.goto(`${base}${path}`);
      await page.locator("main h1").waitFor();
      await page.waitForLoadState("networkidle").catch(() => undefined); // a page that follows events is never idle
      await page.waitForTimeout(1500);
      const path_ = `${FOLDER}${name}-${lang}.png`;
      await page.screenshot({ path: path_ });
      if (statSync(path_).size > MOST) throw new Error(`${path_} is larger than ${MOST} bytes`);
      console.log(`${name}-${lang}.png`);
    }
  }
};
