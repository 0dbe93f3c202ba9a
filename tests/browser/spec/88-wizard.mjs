// The setup wizard on a site that has just been installed: from signing in to the first protected mail, with the clock running.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MOST_S = 300;

export default async ({ page, test, ours, everyLook, language, shots }) => {
  const work = mkdtempSync(join(tmpdir(), "inari-wizard-")), dir = join(work, "lab"), here = new URL("../", import.meta.url);
  chmodSync(work, 0o755); // the lab's daemons have users of their own
  const newlab = (verb, input) => execFileSync("/usr/bin/python3", ["newlab.py", verb, dir], { cwd: here, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"], ...(input ? { input } : {}), timeout: 180_000 });
  const onHost = (host, ...argv) => execFileSync("../../deploy/lab", ["exec", "--dir", dir, host, "--", ...argv], { cwd: here, encoding: "utf8" });
  const field = (name) => page.getByRole("textbox", { name, exact: true });
  const go = (name) => page.getByRole("button", { name, exact: true }).click();
  const heading = (name) => page.getByRole("heading", { name, level: 2 });
  let site, began = 0;
  const open = async (step) => { await page.goto(`${site.api}/wizard${step}`); await page.locator("main h1").waitFor(); await page.getByRole("list").first().waitFor(); };
  try {
    await test("wizard: a site that was just installed", async () => {
      site = JSON.parse(newlab("up"));
      ours.push(site.api);
    });
    if (site === undefined) return;
    await test("wizard: placement, mail settings, published", async () => {
      began = Date.now();
      await page.goto(`${site.api}/wizard`);
      await field("User name").fill(site.user);
      await field("Password").fill(site.password);
      await go("Sign in");
      await heading("Placement").waitFor();
      await page.getByRole("radio", { name: "In a DMZ" }).check();
      await go("Go on");
      await heading("Mail settings").waitFor();
      await field("Your mail domains").fill(site.domain);
      await field("Where their mail goes").fill("not a host");
      await go("Check and publish");
      await page.getByRole("alert").waitFor(); // refused by the parent, with what is wrong
      await field("Where their mail goes").fill(site.inside.address);
      assert.equal(await field("Who may send to the outside").inputValue(), site.inside.address);
      await go("Check and publish");
      await heading("Join the first child").waitFor();
    });
    await test("wizard: the child joins with the command, is taken into service", async () => {
      await page.reload(); // nothing is kept in the browser: it goes on where it was
      await heading("Join the first child").waitFor();
      await go("Make the join command");
      const command = await page.locator("pre").nth(1).innerText();
      newlab("join", command);
      await heading("Put it into service").waitFor({ timeout: 60_000 }); // by itself, once the device is there
      await page.getByRole("button", { name: /^Manage / }).click();
      await heading("Test message").waitFor({ timeout: 120_000 });
    });
    await test("wizard: a test message goes all the way", async () => {
      assert.equal(await field("To").inputValue(), `postmaster@${site.domain}`);
      await go("Send the test message");
      await heading("Finished").waitFor({ timeout: 60_000 });
      await page.getByText("Mail is protected.").waitFor();
      const code = "import smtplib,sys\nwith smtplib.SMTP(sys.argv[1],25,timeout=20) as s:\n s.sendmail('a@outside.test',[sys.argv[2]],'Subject: first-protected\\r\\nMessage-ID: <first@outside.test>\\r\\n\\r\\nhello\\r\\n')\n";
      onHost("outside", "/usr/bin/python3", "-c", code, site.child.address, `postmaster@${site.domain}`);
      const there = () => readdirSync(site.inside.maildir).some((f) => f.endsWith(".eml") && readFileSync(join(site.inside.maildir, f), "utf8").includes("first-protected"));
      for (let i = 0; i < 300 && !there(); i++) await page.waitForTimeout(100);
      assert.ok(there(), "mail from outside did not arrive");
      const took = (Date.now() - began) / 1000;
      console.log(`        first mail protected ${took.toFixed(0)} s after signing in`);
      assert.ok(took < MOST_S, `${took} s`);
    });
    await test("wizard: every language and theme", async () => {
      for (const [step, name] of [["", "wizard-done"], ["?step=placement", "wizard-placement"], ["?step=mail", "wizard-mail"], ["?step=join", "wizard-join"], ["?step=test", "wizard-test"]]) {
        await open(step);
        await everyLook(name);
      }
      await language("ja");
      await page.getByText("チェックリスト").or(page.getByRole("navigation", { name: "チェックリスト" })).first().waitFor();
      await page.screenshot({ path: `${shots}/wizard-last-ja.png` });
      await language("en");
    });
  } finally {
    if (site !== undefined) await page.goto("about:blank");
    newlab("down");
    rmSync(work, { recursive: true, force: true });
  }
};
