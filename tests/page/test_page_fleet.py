"""The page of a few devices: what needs a person, deployments, what is not done yet, and one device."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from shown_fleet import Shown, answered, follow, shown_fleet

pytestmark = pytest.mark.asyncio(loop_scope="session")
CASES = {
    "edge-1": "003",
    "edge-2": "003",
    "edge-3": "003",
    "edge-4": "048",
    "edge-5": "007",
    "edge-6": "026",
    "edge-7": "002",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shown(tables: str, browser: Browser) -> AsyncIterator[Shown]:
    """Devices in all sorts of states: four are stuck, one of them by two modules, another will be in 14 minutes."""
    async with shown_fleet(tables, browser) as fleet:

        def late(twin: dict[str, Any]) -> None:
            for section in twin["properties"].values():
                section["$metadata"]["$lastUpdated"] = fleet.now.isoformat()

        def twice(twin: dict[str, Any]) -> None:
            for section in twin["properties"].values():
                section["modules"]["m2"] = section["modules"]["m1"]

        for device, case in CASES.items():
            await fleet.put(device, case, twice if device == "edge-4" else None)
        await fleet.pass_time(minutes=20)
        await fleet.put("edge-8", "052", late)
        await fleet.pass_time(minutes=1)
        yield fleet


async def test_a_deployment_has_a_bar_with_a_table_of_its_states(shown: Shown) -> None:
    async with shown.page() as page:
        deployment = page.locator(".deployment")
        await expect(deployment.locator("h3")).to_have_text("at-scale1")
        await expect(deployment.locator(".share")).to_have_text("3 of 8 successful (37 %)")
        rows = deployment.get_by_role("table", name="Devices by state").get_by_role("row")
        states = ["successful3", "pending1", "in progress1", "module failed2", "invalid1", "stuck4"]
        await expect(rows).to_have_text(states)
        await expect(deployment.locator(".bar .part")).to_have_count(5)


async def test_a_number_leads_to_its_devices_and_back(shown: Shown) -> None:
    async with shown.page() as page:
        counts = page.get_by_role("table", name="Devices by state")
        await counts.get_by_role("row", name="module failed").get_by_role("link").click()
        devices = page.get_by_role("region", name="Devices 2")
        await expect(devices.locator("tbody .device")).to_have_text(["edge-4", "edge-8"])
        await expect(page).to_have_url(re.compile(r"#devices\?deployment=at-scale1&state=module_failed$"))
        await page.get_by_role("button", name="deployment at-scale1").click()
        await expect(page).to_have_url(re.compile(r"#devices\?state=module_failed$"))
        await page.get_by_label("State").focus()
        await page.get_by_label("State").select_option("invalid")
        await expect(page.get_by_role("region", name="Devices 1").locator(".device")).to_have_text(["edge-5"])
        await expect(page.get_by_label("State")).to_be_focused()
        await page.get_by_role("link", name="Back to the fleet").click()
        await expect(page.get_by_role("region", name="Needs a person")).to_be_visible()


async def test_failing_devices_come_first_and_each_once(shown: Shown) -> None:
    async with shown.page() as page:
        await follow(page, "devices")
        names = await page.locator("tbody .device").all_inner_texts()
        assert sorted(names[:4]) == ["edge-4", "edge-5", "edge-6", "edge-7"]
        assert names[4:] == ["edge-8", "edge-1", "edge-2", "edge-3"]


async def test_a_deployment_shows_the_counters_of_iot_hub_beside_ours(shown: Shown) -> None:
    async with shown.page() as page:
        await page.get_by_role("link", name="at-scale1").click()
        await answered(page)
        rows = page.locator(".counters tbody tr")
        cells = await rows.evaluate_all("rows => rows.map((row) => [...row.cells].map((cell) => cell.lastChild.data))")
        assert ["applied", "8", "8"] in cells
        assert ["successful", "3", "5"] in cells
        assert ["stuck", "4", "not counted"] in cells
        await expect(page.get_by_role("region", name="Causes 4 devices, 4 causes")).to_be_visible()


async def test_the_progress_of_a_deployment_is_a_picture_with_a_table_behind_it(shown: Shown) -> None:
    async with shown.page() as page:
        progress = page.locator(".progress")
        await expect(progress.locator(".picture .line.successful")).to_have_attribute("d", re.compile("^M0 "))
        await progress.get_by_text("Progress as a table").click()
        row = progress.locator(".points tbody tr").first
        await expect(row.get_by_role("cell").nth(1)).to_contain_text("8")
        await expect(row.get_by_role("cell").nth(2)).to_contain_text("3")


async def test_what_is_not_done_yet_is_not_called_stuck(shown: Shown) -> None:
    async with shown.page() as page:
        rest = page.get_by_role("region", name="Not done yet 1 device, within the normal time")
        await expect(rest.locator("li")).to_contain_text("wrong status m1: unhealthy")
        await expect(rest.locator("time")).to_have_text(re.compile("1[34] min"))  # it runs
        await rest.get_by_text("1 device", exact=True).click()
        await expect(rest.locator(".device")).to_have_text("edge-8")


async def test_a_device_has_its_images_what_to_do_and_its_evidence(shown: Shown) -> None:
    async with shown.page() as page:
        await page.get_by_role("link", name="edge-4").click()
        dialog = page.get_by_role("dialog", name="edge-4")
        module = dialog.locator(".modules tbody").first
        await expect(module.locator(".who")).to_contain_text("m1")
        await expect(module.locator("td.figure").first).to_contain_text("139")
        await expect(dialog.get_by_text("What to do: Read the logs of the module.")).to_be_visible()
        await module.get_by_text("Evidence", exact=True).click()
        comparison = module.locator(".evidence tbody tr").filter(has_text="runtimeStatus")
        await expect(comparison).to_contain_text("properties.reported.modules.m1.runtimeStatus")
        await expect(comparison).to_contain_text("properties.desired.modules.m1.status")


async def test_an_image_that_should_run_is_shown_beside_the_one_that_runs(shown: Shown) -> None:
    await shown.put("edge-9", "026", lambda twin: twin["properties"]["reported"]["modules"]["m1"]["settings"].update(
        image="registry.example.com/old:1"
    ))  # fmt: skip
    async with shown.page() as page:
        await follow(page, "?device=edge-9")
        image = page.locator(".modules tbody").filter(has_text="m1").locator(".image")
        await expect(image).to_contain_text("runs registry.example.com/old:1")
        await expect(image).to_contain_text("should run")
    shown.stack.iot_hub.registry.delete("edge-9")
    await shown.stack.drained()


async def test_the_history_groups_what_was_seen_at_once_and_comes_newest_first(shown: Shown) -> None:
    async with shown.page() as page:
        await page.get_by_role("link", name="edge-4").click()
        history = page.get_by_role("dialog").get_by_role("region", name="History")
        newest = history.locator("ol > li").first
        await expect(newest.locator(".what").first).to_have_text(re.compile("stuck after 15 min not as desired"))
        groups, transitions = history.locator("ol > li"), history.get_by_text(re.compile(r"^Transition \d+,"))
        assert await groups.count() < await transitions.count()
        texts = await transitions.all_text_contents()
        assert len(texts) == len({re.findall(r"\d+", text)[0] for text in texts})
        times = await groups.locator(".when time:first-child").evaluate_all("all => all.map((one) => one.dateTime)")
        assert times == sorted(times, reverse=True)


async def test_a_link_opens_a_device_and_the_way_back_closes_it(shown: Shown) -> None:
    async with shown.page() as page:
        await follow(page, "devices?stuck=true&device=edge-5")
        dialog = page.get_by_role("dialog", name="edge-5")
        await expect(dialog).to_contain_text("invalid")
        await page.go_back()
        await expect(dialog).to_be_hidden()


async def test_a_device_that_is_deleted_while_it_is_open_is_shown_as_deleted_and_keeps_its_history(
    shown: Shown,
) -> None:
    await shown.put("edge-gone", "048")
    async with shown.page(quiet=False) as page:  # the browser logs each 404 in its console
        await follow(page, "?device=edge-gone")
        dialog = page.get_by_role("dialog", name="edge-gone")
        await expect(dialog.locator(".modules")).to_be_visible()
        shown.stack.iot_hub.registry.delete("edge-gone")
        await shown.stack.drained()
        await page.clock.run_for(15_000)
        await expect(dialog).to_contain_text("This device has been deleted.")
        await expect(dialog.locator(".modules")).to_be_hidden()
        await expect(dialog.locator(".history > li").first).to_contain_text("deleted")
        await expect(page.locator(".banner:visible")).to_have_count(0)


async def test_a_search_suggests_devices_and_opens_one_or_lists_all_that_begin_with_it(shown: Shown) -> None:
    async with shown.page() as page:
        field = page.get_by_label("Device", exact=True)
        await field.press_sequentially("edge")
        await page.clock.run_for(1_000)
        await expect(page.locator("#found option")).to_have_count(8)
        await field.press("Enter")
        await expect(page.get_by_role("region", name="Devices 8")).to_be_visible()
        await field.fill("edge-3")
        await field.press("Enter")
        await expect(page.get_by_role("dialog", name="edge-3")).to_be_visible()


async def test_a_deployment_that_is_over_folds_away(shown: Shown) -> None:
    async with shown.page(opens=False) as page:

        async def superseded(route: Any) -> None:
            answer = await (await route.fetch()).json()
            answer["items"][0]["milestones"]["superseded"] = "2024-05-02T09:20:00.000000Z"
            await route.fulfill(json=answer)

        await page.route("**/deployments?*", superseded)
        await page.goto(shown.address)
        await answered(page)
        part = page.get_by_role("region", name="Deployments")
        await expect(part.get_by_text("No deployment is applied on any device.")).to_be_visible()
        await part.get_by_text("1 old deployment").click()
        await expect(part.locator(".past li")).to_have_text(re.compile("at-scale1 on 8 devices, superseded"))


async def test_no_word_of_the_page_is_a_private_one(shown: Shown) -> None:
    async with shown.page() as page:
        for place in ("", "deployments/at-scale1", "devices", "?device=edge-4"):
            await follow(page, place)
            text = await page.locator("body").inner_text()
            assert "applied" in text or place in ("", "devices")
            assert not re.search("credited|unsettled|settled", text)
