"""Under which licences an adapter and what it is made of stand, one by one."""

import re


def licences(repo: str, record: dict) -> list[dict]:
    """{"what", "name", "licence", "link", "share_alike"} of adapter, base and each source of its data.

    `record`: recipe.json of the run that made the adapter `repo`.
    """
    recipe = record["recipe"]
    found = [("adapter", repo, recipe["adapter_licence"], ""),
             ("base", record["base"]["repo"], recipe["base_licence"], "")]
    found += [("data", o["id"], o["licence"], o["licence_link"]) for o in record["stages"]["prepare"]["origins"]]
    return [{"what": what, "name": name, "licence": licence or "not stated in the recipe; see its repository",
             "link": link, "share_alike": is_share_alike(licence)} for what, name, licence, link in found]


def is_share_alike(licence: str) -> bool:
    """The licence wants what is made of the work to bear the same licence: Creative Commons SA, GFDL, ODbL."""
    return bool(re.search(r"(^|[ -])sa([ -]|$)|share-?alike|gfdl|odbl", licence.lower()))
