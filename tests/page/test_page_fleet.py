"""What the page shows of a fleet: deployments, what is stuck, what will be, and the history of a device."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import expect
from shown_fleet import Shown, shown_fleet

pytestmark = pytest.mark.asyncio(loop_scope="module")
CASES = {
    "edge-1": "003",
    "edge-2": "003",
    "edge-3": "003",
    "edge-4": "048",
    "edge-5": "007",
    "edge-6": "026",
    "edge-7": "002",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(tables: str) -> AsyncIterator[Shown]:
    """Devices in all sorts of states: four are stuck, another will be in 14 minutes."""
    async with shown_fleet(tables) as fleet:

        def late(twin: dict[str, Any]) -> None:
            for section in twin["properties"].values():
                section["$metadata"]["$lastUpdated"] = fleet.now.isoformat()

        for device, case in CASES.items():
            await fleet.put(device, case)
        await fleet.pass_time(minutes=20)
        await fleet.put("edge-8", "052", late)
        await fleet.pass_time(minutes=1)
        yield fleet


async def test_each_deployment_has_a_bar_and_a_count_by_state(shown: Shown) -> None:
    async with shown.page() as page:
        deployment = page.locator(".deployment")
        await expect(deployment.locator("h3")).to_have_text("at-scale1")
        await expect(deployment.locator(".share")).to_contain_text("3 of 8 successful (37 %)")
        await expect(deployment.locator(".share")).to_contain_text(re.compile(r"4 stuck counted \d+ s ago"))
        await expect(deployment.locator(".legend li")).to_have_text(
            ["successful 3", "in progress 1", "pending 1", "module failed 2", "invalid 1"]
        )
        await expect(deployment.get_by_role("img")).to_have_accessible_name(
            "3 successful, 1 in progress, 1 pending, 2 module failed, 1 invalid"
        )


async def test_an_opened_deployment_shows_the_counters_of_iot_hub_beside_ours(shown: Shown) -> None:
    async with shown.page() as page:
        await page.get_by_role("button", name="at-scale1").click()
        await expect(page.locator(".counters tbody tr")).to_have_text(
            ["applied\t8\t8", "successful\t3\t5", "failing\t4\t2", "stuck\t4\tnot counted"], use_inner_text=True
        )


async def test_an_opened_deployment_lists_its_devices_by_state(shown: Shown) -> None:
    async with shown.page() as page:
        await page.get_by_role("button", name="at-scale1").click()
        devices = page.locator(".devices .device")
        await expect(devices).to_have_count(8)
        states = page.get_by_role("group", name="Devices in the state")
        await states.get_by_role("button", name="module failed").click()
        await expect(devices).to_have_text(["edge-4", "edge-8"])
        await expect(states.get_by_role("button", pressed=True)).to_have_text("module failed 2")


async def test_what_is_stuck_longest_comes_first(shown: Shown) -> None:
    async with shown.page() as page:
        stuck = page.get_by_role("region", name="Stuck 4")
        names = await stuck.locator(".who").all_inner_texts()
        lengths = await stuck.locator(".figure time").evaluate_all("all => all.map((time) => time.dateTime)")
        assert sorted(name.split()[0] for name in names) == ["edge-4", "edge-5", "edge-6", "edge-7"]
        assert lengths == sorted(lengths)


async def test_a_row_opens_to_its_evidence(shown: Shown) -> None:
    async with shown.page() as page:
        row = page.get_by_role("region", name="Stuck 4").locator("tbody").filter(has_text="edge-4")
        await row.get_by_role("button", name="m1").click()
        await expect(row.locator(".message")).to_contain_text("m1 is backoff (exit code 139) and should be running.")
        comparison = row.locator(".evidence tr").filter(has_text="runtimeStatus")
        await expect(comparison).to_contain_text("properties.reported.modules.m1.runtimeStatus")
        await expect(comparison).to_contain_text("backoff")
        await expect(comparison).to_contain_text("properties.desired.modules.m1.status")


async def test_what_gets_stuck_within_the_hour_is_told(shown: Shown) -> None:
    async with shown.page() as page:
        soon = page.get_by_role("region", name="Stuck within the hour 1")
        await expect(soon.locator(".who")).to_contain_text("edge-8 m1")
        await expect(soon.locator(".reason span")).to_have_text("unhealthy")
        await expect(soon.locator(".figure time")).to_have_text(re.compile("1[34] min"))  # it runs


async def test_the_timeline_of_a_device_has_its_transitions_newest_first(shown: Shown) -> None:
    async with shown.page() as page:
        await page.get_by_role("region", name="Stuck 4").get_by_role("button", name="edge-4").click()
        dialog = page.get_by_role("dialog", name="edge-4")
        newest = dialog.locator(".timeline > li").first
        await expect(newest.locator(".what")).to_have_text("m1 stuck after 15 min unsettled")
        await expect(newest.locator(".why")).to_contain_text("backoff")
        sequences = await dialog.locator(".timeline summary").all_inner_texts()
        numbers = [int(text.rsplit(maxsplit=1)[1]) for text in sequences]
        assert numbers == list(range(len(numbers), 0, -1))
        await newest.get_by_text("Evidence of transition").click()
        await expect(newest.locator(".evidence")).to_contain_text("properties.reported.modules.m1.runtimeStatus")


async def test_a_link_opens_a_device_and_the_way_back_closes_it(shown: Shown) -> None:
    async with shown.page() as page:
        await page.goto(f"{shown.address}#device=edge-5")
        dialog = page.get_by_role("dialog", name="edge-5")
        await expect(dialog).to_contain_text("invalid")
        await page.go_back()
        await expect(dialog).to_be_hidden()
