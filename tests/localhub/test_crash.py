"""What must hold when things go wrong at the worst moment: kill -9, two writers at once, a full disk."""

import hashlib
import os
import random
import subprocess
import threading

import httpx2
import pytest
from hub import Hub, bearer, commit_body, tip

REPO = "kira/crash"
LARGE_BYTES = 1 << 20


def create(hub: Hub, repo_id: str) -> None:
    answer = hub.http.post("/api/repos/create", json={"name": repo_id.split("/")[1]}, headers=bearer())
    assert answer.status_code == 200


def upload(http: httpx2.Client, repo_id: str, data: bytes) -> str:
    """One LFS object by the protocol, without a commit; its sha256."""
    oid = hashlib.sha256(data).hexdigest()
    body = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": len(data)}]}
    batch = http.post(f"/{repo_id}.git/info/lfs/objects/batch", json=body, headers=bearer())
    for item in batch.raise_for_status().json()["objects"]:
        if "actions" in item:
            http.put(item["actions"]["upload"]["href"], content=data).raise_for_status()
    return oid


def commit(http: httpx2.Client, repo_id: str, number: int, data: bytes, **header: str) -> httpx2.Response:
    oid = upload(http, repo_id, data)
    lines = [("file", {"path": f"small/{i}.txt", "content": f"{number}-{i}", "encoding": "utf-8"}) for i in range(5)]
    lines.append(("lfsFile", {"path": "large.bin", "algo": "sha256", "oid": oid, "size": len(data)}))
    return http.post(f"/api/models/{repo_id}/commit/main", content=commit_body(*lines, summary=str(number), **header),
                     headers=bearer())


def check_whole(hub: Hub, repo_id: str) -> tuple[str, str | None]:
    """Every file of the tip can be read and is what its hash says; returns the tip's id and title."""
    sha = tip(hub, repo_id)
    latest = hub.http.get(f"/api/models/{repo_id}/commits/{sha}").json()[0]
    for item in hub.http.get(f"/api/models/{repo_id}/tree/{sha}?recursive=true").raise_for_status().json():
        if item["type"] == "directory":
            continue
        data = hub.http.get(f"/{repo_id}/resolve/{sha}/{item['path']}").raise_for_status().content
        assert len(data) == item["size"]
        if "lfs" in item:
            assert hashlib.sha256(data).hexdigest() == item["lfs"]["oid"]
        else:
            assert hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest() == item["oid"]
            if item["path"].startswith("small/"):
                assert data.decode().split("-")[0] == latest["title"]  # all of one commit, not of two
    return sha, latest["title"]


def test_killed_at_random_moments(tmp_path):
    moments = random.Random(20261123)
    root = tmp_path / "hub"
    acknowledged, begun, kills = "initial commit", -1, 0
    with Hub(root) as first:
        create(first, REPO)
    while True:
        with Hub(root) as hub:  # started on what the last one left
            _, title = check_whole(hub, REPO)
            # The last commit that was acknowledged, or the one under way: nothing lost, nothing halved.
            assert title in {acknowledged, str(begun)}
            acknowledged = title
            assert len(list((root / "unfinished").glob("*.tmp"))) == 1  # its own; the dead one's is gone
            if kills == 16:
                break
            killer = threading.Timer(moments.uniform(0, 0.4), hub.kill)
            killer.start()
            with pytest.raises(httpx2.TransportError):
                while True:
                    begun += 1
                    commit(hub.http, REPO, begun, moments.randbytes(LARGE_BYTES)).raise_for_status()
                    acknowledged = str(begun)
            killer.join()
            kills += 1
    assert int(acknowledged) > 5  # they were killed amid work, not before it


def test_killed_while_repos_come_and_go(tmp_path):
    moments = random.Random(7)
    root = tmp_path / "hub"
    for _ in range(4):
        with Hub(root) as hub:
            timer = threading.Timer(moments.uniform(0, 0.15), hub.kill)
            timer.start()
            try:
                for number in range(10_000):
                    hub.http.post("/api/repos/create", json={"name": f"r{number}"}, headers=bearer())
                    body = {"fromRepo": f"kira/r{number}", "toRepo": f"embedded/r{number}"}
                    hub.http.post("/api/repos/move", json=body, headers=bearer())
                    hub.http.request("DELETE", "/api/repos/delete", json={"name": f"r{number}",
                                     "organization": "embedded"}, headers=bearer())
            except httpx2.TransportError:
                timer.join()
        with Hub(root) as again:
            for info in again.http.get("/api/models").json():
                check_whole(again, info["id"])
                again.http.request("DELETE", "/api/repos/delete", headers=bearer(), json={
                    "organization": info["id"].split("/")[0], "name": info["id"].split("/")[1]}).raise_for_status()
            assert again.http.get("/api/models").json() == []


def test_one_of_two_racing_commits_wins(tmp_path):
    """Through two server processes over one folder."""
    with Hub(tmp_path / "hub") as one, Hub(tmp_path / "hub") as two:
        create(one, REPO)
        for trial in range(20):
            parent, start, answers = tip(one, REPO), threading.Barrier(2), []

            def race(hub: Hub, name: str, parent=parent, start=start, answers=answers):
                body = commit_body(("file", {"path": "who.txt", "content": name}), parentCommit=parent, summary=name)
                start.wait()
                answers.append(hub.http.post(f"/api/models/{REPO}/commit/main", content=body, headers=bearer()))

            racers = [threading.Thread(target=race, args=(hub, f"{trial}-{i}")) for i, hub in enumerate((one, two))]
            for racer in racers:
                racer.start()
            for racer in racers:
                racer.join()
            assert sorted(answer.status_code for answer in answers) == [200, 412]
            winner = next(answer for answer in answers if answer.status_code == 200).json()["commitOid"]
            assert tip(one, REPO) == tip(two, REPO) == winner
        assert len(one.http.get(f"/api/models/{REPO}/commits/main").json()) == 21


def test_commits_without_parent_all_arrive(tmp_path):
    with Hub(tmp_path / "hub") as one, Hub(tmp_path / "hub") as two:
        create(one, REPO)

        def write(hub: Hub, who: int):
            for number in range(10):
                line = ("file", {"path": f"{who}-{number}.txt", "content": "x"})
                answer = hub.http.post(f"/api/models/{REPO}/commit/main", content=commit_body(line), headers=bearer())
                answer.raise_for_status()

        writers = [threading.Thread(target=write, args=(hub, who)) for who, hub in enumerate((one, two))]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert len(one.http.get(f"/api/models/{REPO}/tree/main").json()) == 21


def small_disk(root) -> tuple[str, ...]:
    """A prefix for the server's command: its folder on a disk of 8 MB; where that is not allowed, files up to 1 MB."""
    mount = "mount -t tmpfs -o size=8m none "
    root.mkdir()
    if subprocess.run(["unshare", "-rm", "sh", "-c", f"{mount} '{root}'"], capture_output=True).returncode == 0:
        return ("unshare", "-rm", "sh", "-c", mount + '"$0" && exec "$@"', str(root))
    return ("sh", "-c", 'ulimit -f 1024; exec "$@"', "sh")


def test_full_disk(tmp_path):
    with Hub(tmp_path / "hub", prefix=small_disk(tmp_path / "hub")) as hub:
        create(hub, REPO)
        assert commit(hub.http, REPO, 1, b"small").status_code == 200
        before = tip(hub, REPO)
        with pytest.raises(httpx2.HTTPStatusError) as failure:
            upload(hub.http, REPO, os.urandom(12 << 20))
        assert failure.value.response.status_code == 507
        assert "disk of this Hub is full" in failure.value.response.json()["error"]
        long = commit_body(("file", {"path": "long.txt", "content": "x" * (9 << 20)}))
        answer = hub.http.post(f"/api/models/{REPO}/commit/main", content=long, headers=bearer())
        assert answer.status_code == 507
        assert tip(hub, REPO) == before
        assert check_whole(hub, REPO)[1] == "1"
        assert commit(hub.http, REPO, 2, b"small again").status_code == 200  # what failed left no rubbish


def test_downloads_go_on_while_others_upload(hub, repo_id):
    """Many at once, each whole; blocking work must not stall the loop for good."""
    data = os.urandom(4 << 20)
    assert commit(hub.http, repo_id, 0, data).status_code == 200
    found = []

    def load():
        with httpx2.Client(base_url=hub.endpoint, trust_env=False, timeout=60) as http:
            found.append(http.get(f"/{repo_id}/resolve/main/large.bin").content == data)

    loaders = [threading.Thread(target=load) for _ in range(8)]
    for loader in loaders:
        loader.start()
    upload(hub.http, repo_id, os.urandom(8 << 20))
    for loader in loaders:
        loader.join()
    assert found == [True] * 8
