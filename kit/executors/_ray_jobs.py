"""Ray's Jobs SDK: what is asked of it and what it answers, and what to do when it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kit.errors import HostError
from kit.redact import mask
from kit.resources import Resources

if TYPE_CHECKING:
    import requests
    from ray.job_submission import JobDetails, JobSubmissionClient

__all__ = ["Job", "RayJobs"]

_SECONDS = 30.0
_NODES = 10_000
"""Ray lists no more at once."""
_ALIVE = {"PENDING", "RUNNING"}
_DIED = "JOB_SUPERVISOR_ACTOR_DIED"
_NEVER_BEGAN = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
_TOKEN = "Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the cluster's own token (or keep it in ~/.ray/auth_token)."  # noqa: S105
_INSTALL = "Install it: `uv add 'mlekit[ray]'`; or run it here with `--on local`."
_ADDRESS = "See that the cluster is up, and set `address` in [tool.kit.executors.NAME], or RAY_ADDRESS."


@dataclass(frozen=True, slots=True)
class Job:
    """One of Ray's.

    Attributes:
        state: In its own words, such as `RUNNING`.
        trouble: What kind of failure it was, in Ray's words; None for none.
        told: The last line of what Ray says of it.
    """

    id: str
    state: str
    trouble: str | None = None
    told: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether it waits or runs."""
        return self.state in _ALIVE

    @property
    def has_died(self) -> bool:
        """Whether it ended with its node, or what Ray had there."""
        return self.trouble == _DIED

    @property
    def has_waited_in_vain(self) -> bool:
        """Whether Ray gave up waiting for a node with room: it does so after a quarter of an hour."""
        return self.trouble == _NEVER_BEGAN

    @property
    def run_id(self) -> str:
        return self.id.removeprefix("kit-").rpartition("-")[0]

    @property
    def number(self) -> int:
        """Which of its run's jobs it is, from 1."""
        return int(self.id.rpartition("-")[2])


class RayJobs:
    """A cluster, as far as its jobs go. It is asked the first time that something is wanted of it."""

    def __init__(self, address: str | None) -> None:
        self._given = address

    @cached_property
    def _client(self) -> JobSubmissionClient:
        with _refusals(self._given):
            try:
                from ray.job_submission import JobSubmissionClient
            except ImportError as error:
                raise HostError("Ray's Jobs SDK is not installed here", where="ray[default]", fix=_INSTALL) from error

            class Client(JobSubmissionClient):  # type: ignore[misc]
                """That of the SDK waits for ever for a server that says nothing."""

                def _do_request(self, method: str, endpoint: str, **options: object) -> requests.Response:
                    answer: requests.Response = super()._do_request(
                        method, endpoint, **({"timeout": _SECONDS} | options)
                    )
                    return answer

            return Client(self._given)

    def submit(
        self,
        job: str,
        entrypoint: str,
        resources: Resources,
        variables: dict[str, str],
        folder: Path | None = None,
    ) -> None:
        """Submit this job, unless it is there: nothing is different then.

        Args:
            folder: What is uploaded, for the job to begin in.

        Raises:
            HostError: If the cluster cannot be asked, or refuses.
        """
        client = self._client
        environment = {"env_vars": variables} | ({} if folder is None else {"working_dir": str(folder)})
        with _refusals(self._given):
            try:
                client.submit_job(
                    entrypoint=entrypoint,
                    submission_id=job,
                    runtime_env=environment,
                    entrypoint_num_cpus=resources.cpus,
                    entrypoint_num_gpus=resources.gpus or None,
                    entrypoint_memory=resources.memory,
                )
            except RuntimeError as error:
                if "already exists" not in str(error):
                    raise

    def find(self, run_ids: Sequence[str]) -> dict[str, list[Job]]:
        """The jobs of each of these runs that Ray knows, in the order in which they were submitted.

        Raises:
            HostError: If it cannot be asked.
        """
        client = self._client
        with _refusals(self._given):
            listed = client.list_jobs()  # all of them: there is no other question that finds those of a run
        named = [each for each in listed if (each.submission_id or "").startswith("kit-")]
        jobs = [_job(each) for each in named if each.submission_id.rpartition("-")[2].isdecimal()]
        found: dict[str, list[Job]] = {run_id: [] for run_id in run_ids}
        for job in sorted(jobs, key=lambda each: each.number):
            if job.run_id in found:
                found[job.run_id].append(job)
        return found

    def printed(self, job: str) -> str:
        """What it printed by now.

        Raises:
            HostError: If it cannot be asked.
        """
        client = self._client
        with _refusals(self._given):
            said: str = client.get_job_logs(job)
        return said

    def followed(self, job: str) -> Iterator[str]:
        """What it prints, in pieces, until it has ended.

        Raises:
            HostError: If it cannot be asked, or does not answer to the end.
        """
        pieces = self._client.tail_job_logs(job)

        async def following() -> str | None:
            return await anext(pieces, None)

        with _refusals(self._given), asyncio.Runner() as runner:
            while (piece := runner.run(following())) is not None:
                yield piece

    def stop(self, job: str) -> None:
        """Have Ray stop it.

        Raises:
            HostError: If it cannot be asked.
        """
        client = self._client
        with _refusals(self._given):
            client.stop_job(job)

    def expect_room(self, resources: Resources) -> None:
        """See that a node has as much, were it idle: Ray itself would wait for such a node, and say nothing.

        Raises:
            HostError: If none has, or the cluster cannot be asked.
        """
        client = self._client
        with _refusals(self._given):
            from ray.util.state import list_nodes

            # All of them: of those that live Ray gives none once a node has died, "due to data truncation".
            known = list_nodes(client.get_address(), limit=_NODES, detail=True, timeout=_SECONDS)
        nodes = [node for node in known if node.state == "ALIVE"]
        wanted = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": resources.memory}
        for node in nodes:
            if all((node.resources_total or {}).get(name, 0) >= (amount or 0) for name, amount in wanted.items()):
                return
        asked = ", ".join(f"{name} {amount}" for name, amount in wanted.items() if amount)
        fix = "Ask for less in `resources`: `ray status -v` lists what nodes have. A cluster that adds nodes by itself "
        fix += "needs `autoscales = true` in [tool.kit.executors.NAME]."
        raise HostError(f"no node of the Ray cluster has {asked}", where=client.get_address(), fix=fix)


def _job(details: JobDetails) -> Job:
    lines = [line.strip() for line in (details.message or "").splitlines() if line.strip()]
    state = getattr(details.status, "value", details.status)
    trouble = getattr(details.error_type, "value", details.error_type)
    return Job(details.submission_id, str(state), trouble, mask(lines[-1]) if lines else "")


@contextlib.contextmanager
def _refusals(address: str | None) -> Iterator[None]:
    """What the SDK raises, as errors that have a fix."""
    where = os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS") or address
    try:
        yield
    except HostError:
        raise
    except Exception as error:
        raise _refused(error, mask(where) if where else "no address given") from error


def _refused(error: Exception, where: str) -> HostError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    kind = type(error).__name__
    if "AuthenticationError" in kind or "uthentication" in lines[0] or "authentication" in lines[-1]:
        return HostError("the Ray cluster refuses the token", where=where, fix=_TOKEN)
    if isinstance(error, OSError) or "connect" in lines[0].lower() or "timed out" in lines[0].lower():
        return HostError("no Ray cluster answers", where=where, fix=_ADDRESS)
    return HostError(f"Ray refuses: {mask(lines[-1])}", where=where, fix="See the cluster's dashboard.")
