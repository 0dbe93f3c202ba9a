// Signing in: the policy of the page, a wrong password, the generated one that has to be changed.
import assert from "node:assert/strict";

export default async ({ page, test, base, user, password, fresh, NEW_PASSWORD, axe, shots }) => {
  const field = (name) => page.getByRole("textbox", { name, exact: true });
  const go = (name) => page.getByRole("button", { name, exact: true }).click();
  await test("the policy is strict, an address of the console is the page, an unknown file is not", async () => {
    const answer = await page.goto(`${fresh.base}/devices`);
    const policy = answer.headers()["content-security-policy"] ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    assert.equal((await page.request.get(`${fresh.base}/assets/none.js`)).status(), 404);
    assert.equal((await page.request.get(`${fresh.base}/devices`, { headers: { Accept: "application/json" } })).status(), 404);
  });
  await test("a new parent: a wrong password is said, the generated one has to be changed", async () => {
    await field("User name").fill(fresh.user);
    await axe("sign in");
    await page.screenshot({ path: `${shots}/login-en.png` });
    await field("Password").fill("not this one");
    await go("Sign in");
    await page.getByRole("alert").filter({ hasText: "The credential was not accepted" }).waitFor();
    await page.waitForTimeout(1200); // the parent slows a second try down
    await field("Password").fill(fresh.password);
    await go("Sign in");
    await page.getByRole("heading", { name: "Change the password" }).waitFor();
    await axe("change the password");
    await field("Present password").fill(fresh.password);
    await field("New password").fill(NEW_PASSWORD);
    await field("New password again").fill("something else");
    await go("Change the password");
    await page.getByText("The two new passwords differ.").waitFor();
    await field("New password again").fill(NEW_PASSWORD);
    await go("Change the password");
    await page.getByRole("button", { name: /^Account of/ }).waitFor();
  });
  await test("sign in to the lab's parent", async () => {
    await page.goto(base);
    await field("User name").fill(user);
    await field("Password").fill(password);
    await go("Sign in");
    await page.getByRole("button", { name: /^Account of/ }).waitFor();
  });
};
