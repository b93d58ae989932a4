"""What the agent's own description of a failed plan means. The texts are those of several agent generations."""

import pytest

from status_core import Reason
from status_core.descriptions import Step, explain

AGGREGATE = "One or more errors occurred."
PULL = "Error calling prepare update for module m1: Could not pull image r.example/m1:2\n\tcaused by: "
START = "Error calling start module m1: Could not start module m1\n\tcaused by: "
CREATE = "Error calling Create module m1: Could not create module m1\n\tcaused by: "


@pytest.mark.parametrize("outstanding", [True, False])
@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("Error calling List modules: connection refused", Reason.RUNTIME_UNREACHABLE),
        ("Connection refused /var/run/iotedge/mgmt.sock", Reason.RUNTIME_UNREACHABLE),
        (f"{AGGREGATE} (Error calling prepare update for module m1: Could not pull image r/m1:1)", Reason.PULL_FAILED),
        (
            'Error calling prepare update for module m1: registry operation error: pull image "r/m1:1"',
            Reason.PULL_FAILED,
        ),
        ("Error calling prepare update for module m1: A task was canceled.", Reason.PULL_TIMED_OUT),
        (f"{AGGREGATE} (Failed to execute ExecutionPrerequisite command)", Reason.PULL_FAILED),
        ("Docker API responded with status code=NotFound, image=r/m1, tag=9", Reason.IMAGE_NOT_FOUND),
        ("Could not start module m1", Reason.START_FAILED),
        (f"{AGGREGATE} (Error calling stop module m1: No such container)", Reason.STOP_FAILED),
        ("Error calling stop module m1: The operation was canceled.", Reason.STOP_FAILED),
        ("Error calling remove module m1: conflict", Reason.STOP_FAILED),
        ("Error calling Delete module m1: conflict", Reason.STOP_FAILED),
        ("Error calling Restart module m1: no", Reason.START_FAILED),
        ('Error calling Create module m1: runtime operation error: create module "m1"', Reason.CREATE_FAILED),
        ('Error calling update module m1: runtime operation error: create module "m1"', Reason.CREATE_FAILED),
        ('Error calling update module m1: runtime operation error: remove module "m1"', Reason.UPDATE_FAILED),
        ("ModuleStatus unknown is not a valid status. (Parameter 'status')", Reason.STATUS_UNREADABLE),
        ("Unable to process module m1: identity could not be obtained", Reason.IDENTITY_FAILED),
        ("Unable to process module m1 update as the module identity could not be obtained", Reason.IDENTITY_FAILED),
        ("Error calling Create identity for m1: no answer", Reason.IDENTITY_FAILED),
        ("Error calling Create identity for m1: Could not create module m1: no answer", Reason.IDENTITY_FAILED),
        (f"{AGGREGATE} (Failed to execute PrepareForUpdate command)", Reason.PULL_FAILED),
        ("Could not get identities", Reason.IDENTITY_FAILED),
        ("Error calling List identities: no answer\n\tcaused by: connection refused", Reason.IDENTITY_FAILED),
        ("Resource temporarily unavailable", Reason.RUNTIME_UNREACHABLE),
        ("An error occurred while sending the request.", Reason.RUNTIME_UNREACHABLE),
        ("No connection could be made because the target machine actively refused it.", Reason.RUNTIME_UNREACHABLE),
        ("Error while copying content to a stream.", Reason.RUNTIME_UNREACHABLE),
        ("Error calling Getting System Info: no answer", Reason.RUNTIME_UNREACHABLE),
        ("Could not acquire permit to call ModuleManager, hit limit of 5 concurrent requests", Reason.RUNTIME_BUSY),
        ("Object reference not set to an instance of an object.", Reason.PLAN_FAILED),
        ("", Reason.PLAN_FAILED),
    ],
)
def test_a_step_that_is_named_is_the_reason_whatever_is_outstanding(
    description: str, reason: Reason, *, outstanding: bool
) -> None:
    assert explain(description, image_outstanding=outstanding).reason is reason
    assert explain(description.upper(), image_outstanding=outstanding).reason is reason


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            "pull access denied for r/m1, repository does not exist or may require docker login",
            Reason.REGISTRY_REFUSED,
        ),
        ('Head "https://r.example/v2/m1/manifests/2": unauthorized: authentication required', Reason.REGISTRY_REFUSED),
        ("denied: client with IP '192.0.2.7' is not allowed access", Reason.REGISTRY_REFUSED),
        ("error parsing HTTP 403 response body: invalid character '<'", Reason.REGISTRY_REFUSED),
        ("toomanyrequests: You have reached your pull rate limit.", Reason.REGISTRY_REFUSED),
        ("received unexpected HTTP status: 429 Too Many Requests", Reason.REGISTRY_REFUSED),
        ("error parsing HTTP 429 response body: invalid character 'T'", Reason.REGISTRY_REFUSED),
        ("unknown: Authentication is required", Reason.REGISTRY_REFUSED),
        ("Client IP is not allowed access to this registry", Reason.REGISTRY_REFUSED),
        (
            "fetch oauth token: unexpected status from GET request to https://r.example/t?s=x: 401 Unauthorized",
            Reason.REGISTRY_REFUSED,
        ),
        (
            "repository does not exist or may require authorization: server message: insufficient_scope",
            Reason.REGISTRY_REFUSED,
        ),
        ('failed to resolve reference "r.example/m1:2": r.example/m1:2: not found', Reason.IMAGE_NOT_FOUND),
        ("repository name must be canonical", Reason.IMAGE_NOT_FOUND),
        ('error parsing HTTP 404 response body: "404 page not found"', Reason.IMAGE_NOT_FOUND),
        ("manifest for r.example/m1:2 not found: manifest unknown", Reason.IMAGE_NOT_FOUND),
        ("name unknown: repository name not known to registry", Reason.IMAGE_NOT_FOUND),
        ("invalid reference format: repository name must be lowercase", Reason.IMAGE_NOT_FOUND),
        ("no matching manifest for windows/amd64 10.0.17763 in the manifest list entries", Reason.WRONG_PLATFORM),
        ('image operating system "windows" cannot be used on this platform', Reason.WRONG_PLATFORM),
        (
            "image with reference r.example/m1:2 was found but does not match the specified platform: wanted arm64",
            Reason.WRONG_PLATFORM,
        ),
        ("a Windows version 10.0.20348-based image is incompatible with a 10.0.17763 host", Reason.WRONG_PLATFORM),
        ("operating system is not supported", Reason.WRONG_PLATFORM),
        ("no match for platform in manifest: not found", Reason.WRONG_PLATFORM),
        ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", Reason.DISK_FULL),
        ("There is not enough space on the disk.", Reason.DISK_FULL),
        (
            "failed to register layer: Error processing tar file: write /usr/x: no space left on device",
            Reason.DISK_FULL,
        ),
        ("devmapper: Thin Pool has 12 free data blocks which is less than minimum required 16", Reason.DISK_FULL),
        ("write /var/lib/docker/tmp/GetImageBlob12: disk quota exceeded", Reason.DISK_FULL),
        ("dial tcp: lookup r.example on 192.0.2.10:53: no such host", Reason.REGISTRY_UNREACHABLE),
        ("request canceled (Client.Timeout exceeded while awaiting headers)", Reason.REGISTRY_UNREACHABLE),
        ('Get "https://r.example/v2/": net/http: TLS handshake timeout', Reason.REGISTRY_UNREACHABLE),
        ("x509: certificate signed by unknown authority", Reason.REGISTRY_UNREACHABLE),
        ("received unexpected HTTP status: 503 Service Unavailable", Reason.REGISTRY_UNREACHABLE),
        ("unexpected status from HEAD request to https://r.example/v2/m1: 500 Error", Reason.REGISTRY_UNREACHABLE),
        ('Get "https://r.example/v2/": Forbidden', Reason.REGISTRY_UNREACHABLE),
        ('Get "https://r.example/v2/": Proxy Authentication Required', Reason.REGISTRY_UNREACHABLE),
        ('Get "https://r.example/v2/": proxyconnect tcp: EOF', Reason.REGISTRY_UNREACHABLE),
        ('Get "https://r.example/v2/": remote error: tls: handshake failure', Reason.REGISTRY_UNREACHABLE),
        ("read tcp 192.0.2.2:5000->192.0.2.1:443: read: connection timed out", Reason.REGISTRY_UNREACHABLE),
        ("stream error: stream ID 7; INTERNAL_ERROR; received from peer", Reason.REGISTRY_UNREACHABLE),
        ("http2: server sent GOAWAY and closed the connection", Reason.REGISTRY_UNREACHABLE),
        ("context canceled", Reason.PULL_TIMED_OUT),
        ("Container runtime error\n\tcaused by: connection closed before message completed", Reason.PULL_FAILED),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", Reason.RUNTIME_UNREACHABLE),
        ("error trying to connect: No such file or directory (os error 2)", Reason.RUNTIME_UNREACHABLE),
        ("dial unix /run/containerd/containerd.sock: connect: connection refused", Reason.RUNTIME_UNREACHABLE),
        ("filesystem layer verification failed for digest sha256:1a2b", Reason.PULL_FAILED),
        ("failed to register layer: write /x: input/output error", Reason.PULL_FAILED),
        ("unknown blob", Reason.PULL_FAILED),
        ("Get https://r.example/v2/: Forbidden", Reason.REGISTRY_UNREACHABLE),
        ('Get "https://r.example/v2/": URLBlocked', Reason.REGISTRY_UNREACHABLE),
        ('Head "https://r.example/v2/m1/manifests/2": Internal Server Error', Reason.REGISTRY_UNREACHABLE),
        ("Get https://r.example/v2/: Forbidden ( The page was blocked )", Reason.REGISTRY_UNREACHABLE),
        ("Get https://r.example/v2/m1/manifests/2: no basic auth credentials", Reason.REGISTRY_REFUSED),
        ("Get https://r.example/v2/m1/manifests/2: unauthorized: authentication required", Reason.REGISTRY_REFUSED),
        ('Get "https://r.example/v2/": context canceled', Reason.PULL_TIMED_OUT),
        ("error parsing HTTP 504 response body: invalid character '<'", Reason.REGISTRY_UNREACHABLE),
        ("error parsing HTTP 407 response body: invalid character '<'", Reason.REGISTRY_UNREACHABLE),
        ('error parsing HTTP 408 response body: unexpected end of JSON input: ""', Reason.REGISTRY_UNREACHABLE),
        ('Get "https://r.example/v2/": malformed HTTP response "\\x15\\x03\\x01"', Reason.REGISTRY_UNREACHABLE),
        ('Get "https://r.example/v2/": http2: client connection lost', Reason.REGISTRY_UNREACHABLE),
        ("Your Authorization Token has expired. Please run 'aws ecr get-login'", Reason.REGISTRY_REFUSED),
        ('short-name "m1" did not resolve to an alias', Reason.IMAGE_NOT_FOUND),
        ("invalid checksum digest length", Reason.IMAGE_NOT_FOUND),
        ('no image found in image index for architecture arm64, variant "v8", OS linux', Reason.WRONG_PLATFORM),
        ("database or disk is full", Reason.DISK_FULL),
        ("Es steht nicht genug Speicherplatz auf dem Datenträger zur Verfügung.", Reason.DISK_FULL),
    ],
)
def test_a_pull_fails_for_what_its_innermost_words_say(words: str, reason: Reason) -> None:
    assert explain(f"{AGGREGATE} ({PULL}{words})", image_outstanding=True).reason is reason


@pytest.mark.parametrize("step", [START, CREATE, "Error calling update module m1: x\n\tcaused by: "])
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("Bind for 0.0.0.0:5671 failed: port is already allocated", Reason.PORT_TAKEN),
        ("listen tcp4 0.0.0.0:80: bind: address already in use", Reason.PORT_TAKEN),
        ("Ports are not available: exposing port TCP 0.0.0.0:443", Reason.PORT_TAKEN),
        ("hnsCall failed in Win32: The specified port already exists. (0x803b0013)", Reason.PORT_TAKEN),
        (
            "hnsCall failed in Win32: The process cannot access the file because it is being used by another process.",
            Reason.PORT_TAKEN,
        ),
        ("bind source path does not exist: /data", Reason.MOUNT_INVALID),
        ("invalid mount config for type bind", Reason.MOUNT_INVALID),
        ("invalid volume specification: 'a:b:c:d'", Reason.MOUNT_INVALID),
        (
            'error mounting "/a" to rootfs at "/b": not a directory: unknown',
            Reason.MOUNT_INVALID,
        ),
        ("endpoint with name m1 already exists in network azure-iot-edge", Reason.NETWORK_CONFLICT),
        ("failed to set up container networking: Address already in use", Reason.NETWORK_CONFLICT),
        ("failed to mount local volume: mount :/x:/y, data: addr=192.0.2.9: connection refused", Reason.MOUNT_INVALID),
        ('error looking up volume plugin rexray: plugin "rexray" not found', Reason.MOUNT_INVALID),
        ("Pool overlaps with other one on this address space", Reason.NETWORK_CONFLICT),
        ("no available IPv4 addresses on this network's address pools: azure-iot-edge (1a2b)", Reason.NETWORK_CONFLICT),
        ('Conflict. The container name "/m1" is already in use by container "1a2b".', Reason.UPDATE_FAILED),
        ('the container name "m1" is already in use by 1a2b: that name is already in use', Reason.UPDATE_FAILED),
        (
            "Error starting userland proxy: Bind for 0.0.0.0:443: unexpected error (Failure EADDRINUSE)",
            Reason.PORT_TAKEN,
        ),
        ("Une seule utilisation de chaque adresse de socket est habituellement autorisée.", Reason.PORT_TAKEN),
        ("hnsCall failed in Win32: Der angegebene Port ist bereits vorhanden. (0x803b0013)", Reason.PORT_TAKEN),
        ("statfs /data: no such file or directory", Reason.MOUNT_INVALID),
        ("source path must be a directory", Reason.MOUNT_INVALID),
        ("invalid mode: /data", Reason.MOUNT_INVALID),
        ("OCI runtime create failed: container with id exists: 10df: unknown", Reason.UPDATE_FAILED),
        ("failed to start shim: dial unix /run/containerd/containerd.sock: timeout", Reason.RUNTIME_UNREACHABLE),
        ("no space left on device", Reason.DISK_FULL),
        ("exec format error", Reason.WRONG_PLATFORM),
        ("No such image: r.example/m1:2", Reason.IMAGE_NOT_FOUND),
        ("No such image: r.example/m1:2\n\tcaused by: port is already allocated", Reason.PORT_TAKEN),
    ],
)
def test_a_container_fails_for_what_its_innermost_words_say(step: str, words: str, reason: Reason) -> None:
    assert explain(f"{AGGREGATE} ({step}{words})", image_outstanding=False).reason is reason


@pytest.mark.parametrize(
    "words",
    [
        "cgroups: cannot find cgroup mount destination: unknown",
        'exec: "run.sh": executable file not found in $PATH: unknown',
        'exec: "run.sh": permission denied: unknown',
        "failed to mount overlay: no such device",
        "nvidia-container-cli: mount error: file creation failed: /usr/lib/x: file exists: unknown",
        "devmapper: Error mounting '/dev/mapper/docker-8:1-1' on '/var/lib/docker/devicemapper/mnt/1': invalid",
        "failed to umount /var/lib/docker/containers/1/mounts/shm: no such file or directory",
        'error mounting "proc" to rootfs at "/proc": mount proc:/proc: permission denied: unknown',
        "failed to mount /var/lib/containerd/tmpmounts/containerd-mount123: no such device",
        'error gathering device information while adding custom device "/dev/ttyUSB0": no such file or directory',
        'could not select device driver "nvidia" with capabilities: [[gpu]]',
        "cannot expose privileged port 80: listen tcp 0.0.0.0:80: bind: permission denied",
        "driver failed programming external connectivity on endpoint m1 (8134f1): iptables failed",
    ],
)
def test_words_that_only_look_like_a_closer_cause_give_none(words: str) -> None:
    assert explain(f"{START}{words}", image_outstanding=False).reason is Reason.START_FAILED


@pytest.mark.parametrize(
    "name",
    [
        "identity", "IdentityTranslationLite", "timeout", "denied", "disk-full", "not-found", "x509-proxy", "mount",
        "list-modules", "port", "cancel_all", "no", "module", "unauthorized",
    ],
)  # fmt: skip
def test_the_name_of_a_module_or_an_image_says_nothing_of_the_cause(name: str) -> None:
    image = f"r.example/{name}:1.0"
    pull = f'Error calling prepare update for module {name}: registry operation error: pull image "{image}"'
    found = explain(f"{AGGREGATE} ({pull})", image_outstanding=True, modules=[name], images=[image])
    assert (found.reason, list(found.modules)) == (Reason.PULL_FAILED, [name])
    start = f'Error calling start module {name}: runtime operation error: start module "{name}"'
    assert explain(start, image_outstanding=False, modules=[name], images=[image]).reason is Reason.START_FAILED
    stop = f"Error calling stop module {name}: No such container: {name}"
    assert explain(stop, image_outstanding=False, modules=[name], images=[image]).reason is Reason.STOP_FAILED


def test_an_image_of_the_parent_is_known_though_the_text_has_the_name_of_the_parent_in_it() -> None:
    for image in ("unauthorized-app:2", "unauthorized/app:2"):
        words = f'{PULL}failed to resolve reference "parent:443/{image}": boom'
        assert explain(words, image_outstanding=True).reason is Reason.REGISTRY_REFUSED
        images = [f"$upstream:443/{image}"]
        assert explain(words, image_outstanding=True, images=images).reason is Reason.PULL_FAILED


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("r.example/Unauthorized:1", "r.example/Unauthorized says no"),
        ("r.example:5000/x509", "r.example:5000/x509 says no"),
        ("x509:1", "x509:1 says no"),
        (" r.example/cancel:2 ", "r.example/cancel:1 says no"),
        ("r.example:5000/x509:2", "r.example:5000/x509:1 says no"),
    ],
)
def test_an_image_says_nothing_wherever_it_stands_without_its_tag_too(image: str, words: str) -> None:
    folder = image.rpartition("/")[0]
    found = explain(f"{PULL}{words}", image_outstanding=True, images=[folder, image])
    assert found.reason is Reason.PULL_FAILED


def test_a_word_that_is_an_image_only_with_its_tag_still_gives_the_cause() -> None:
    found = explain(f"{PULL}unauthorized", image_outstanding=True, images=["unauthorized:1"])
    assert found.reason is Reason.REGISTRY_REFUSED


def test_a_bracket_that_holds_names_alone_is_no_step() -> None:
    text = f"{AGGREGATE} (r.example/m1:1.0) (camera-1) ({PULL}unauthorized)"
    found = explain(text, image_outstanding=True, modules=["camera-1"], images=["r.example/m1:1.0"])
    assert [step.reason for step in found.steps] == [Reason.REGISTRY_REFUSED]


@pytest.mark.parametrize("name", ["IdentityTranslationLite", "Cancel", "cancel_all", "timed-out"])
def test_a_name_that_is_no_ordinary_word_says_nothing_wherever_it_stands(name: str) -> None:
    assert explain(f"{name} says no", image_outstanding=True, modules=[name]).reason is Reason.PLAN_FAILED


@pytest.mark.parametrize(
    "description",
    [
        f"{AGGREGATE} (The operation was canceled.) (The operation was canceled.)",
        "The request was canceled due to the configured HttpClient.Timeout of 100 seconds elapsing.",
        "The request was canceled due to the configured HttpClient.Timeout of 300 seconds elapsing.",
        "A task was canceled.",
        "The connection timed out",
        "time-out",
    ],
)
def test_a_canceled_call_is_a_pull_while_an_image_is_outstanding_and_else_a_slow_step(description: str) -> None:
    assert explain(description, image_outstanding=True).reason is Reason.PULL_TIMED_OUT
    assert explain(description, image_outstanding=False).reason is Reason.STEP_TIMED_OUT


def steps(description: str) -> list[tuple[str | None, Reason]]:
    found = explain(description, image_outstanding=True, modules=["a", "b", "c", "$edgeHub"])
    return [(step.module, step.reason) for step in found.steps]


def test_each_step_of_an_aggregate_is_judged_by_itself_a_nested_one_too() -> None:
    a = "Error calling start module a: (HTTP code 500) (server error) - port is already allocated"
    b = "Error calling stop module b: No such container"
    c = "The operation was canceled."
    expected = [("a", Reason.PORT_TAKEN), (None, Reason.PULL_TIMED_OUT), ("b", Reason.STOP_FAILED)]
    assert steps(f"{AGGREGATE} ({a}) ({c}) ({b})") == expected
    assert steps(f"{AGGREGATE} ({AGGREGATE} ({a}) ({c})) ({b})") == expected
    assert steps(f"{AGGREGATE}  ({a} {c} ({b}") == [("a", Reason.PORT_TAKEN), ("b", Reason.STOP_FAILED)]
    assert steps(f"{AGGREGATE} ({AGGREGATE} ({c})) ({a})") == [(None, Reason.PULL_TIMED_OUT), ("a", Reason.PORT_TAKEN)]
    assert steps(f"{a} {b}") == [("a", Reason.PORT_TAKEN), ("b", Reason.STOP_FAILED)]


def test_a_step_has_the_place_of_its_text() -> None:
    first, second = "(Error calling start module a: no)", "(The operation was canceled.)"
    text = f"{AGGREGATE} {first} {second}"
    found = explain(text, image_outstanding=True)
    assert [text[step.start : step.end] for step in found.steps] == [f"{first} ", second]


def test_a_text_that_names_no_step_is_one_itself() -> None:
    text = f"{AGGREGATE} (Agent configuration format is invalid.)"
    assert explain(text, image_outstanding=True).steps == (Step(Reason.PLAN_FAILED, False, None, False, 0, len(text)),)
    assert explain(f"{AGGREGATE} ()", image_outstanding=True).steps[0].is_of_plan is False


def test_of_steps_with_one_rank_the_one_without_a_module_leads_and_else_the_first_by_name() -> None:
    named = "(Error calling prepare update for module {}: A task was canceled.)"
    both = explain(f"{AGGREGATE} {named.format('B')} {named.format('A')}", image_outstanding=True)
    assert both.leading.module == "A"
    beside = f"{AGGREGATE} {named.format('A')} (The operation was canceled.)"
    assert explain(beside, image_outstanding=True).leading.module is None


def test_a_bracket_that_the_agent_did_not_open_ends_no_step() -> None:
    a, b = "Error calling start module a: oh :) port is already allocated", "Error calling stop module b: oh (no"
    assert steps(f"{AGGREGATE} ({a}) ({b}) ({b})") == [
        ("a", Reason.PORT_TAKEN),
        ("b", Reason.STOP_FAILED),
        ("b", Reason.STOP_FAILED),
    ]
    assert steps(f"{AGGREGATE} ({a}) (The operation was canceled.)")[1:] == [(None, Reason.PULL_TIMED_OUT)]


def test_what_the_agent_thinks_of_the_manifest_is_no_step() -> None:
    beside = f"{AGGREGATE} (Agent configuration format is invalid.) (Error calling List modules: no answer)"
    assert steps(beside) == [(None, Reason.RUNTIME_UNREACHABLE)]
    assert steps("Agent configuration format is invalid.") == [(None, Reason.PLAN_FAILED)]


def test_of_several_causes_the_one_of_the_highest_rank_is_the_reason_and_a_benign_stop_comes_last() -> None:
    both = f"{AGGREGATE} (Error calling List modules: no answer) (Error calling start module a: no answer)"
    assert explain(both, image_outstanding=False).reason is Reason.RUNTIME_UNREACHABLE
    stop = f"{AGGREGATE} (Error calling stop module b: No such container) (The operation was canceled.)"
    assert explain(stop, image_outstanding=True).reason is Reason.PULL_TIMED_OUT
    assert explain(f"{stop} (something)", image_outstanding=True).leading.module is None


@pytest.mark.parametrize(
    ("description", "names_a_step"),
    [
        ("A task was canceled.", False),
        ("Error calling List modules: no answer", False),
        (f"{AGGREGATE} (Error calling List modules: no answer) (Agent configuration format is invalid.)", False),
        ("ModuleStatus unknown is not a valid status.", False),
        ("Object reference not set to an instance of an object.", False),
        (f"{AGGREGATE} (The operation was canceled.)", True),
        (f"{AGGREGATE} (Failed to execute ExecutionPrerequisite command)", True),
        ("Error calling start module a: no", True),
        (f"{AGGREGATE} (something)", True),
    ],
)
def test_a_text_names_a_step_of_the_plan_where_it_can_only_come_from_one(
    description: str, *, names_a_step: bool
) -> None:
    assert names_a_step is explain(description, image_outstanding=True).names_a_step


@pytest.mark.parametrize(
    ("description", "modules"),
    [
        ("Error calling start module Camera-1: port", {"Camera-1"}),
        ("Error calling start module camera-1: port", {"Camera-1"}),
        ("Error calling start module Bark: port", {"Bark"}),
        ("Error calling start module bark: port", {"bark"}),
        ("Error calling start module BARK: port", {"BARK"}),
        ("(Error calling start module a: x) (Error calling prepare update for module 'b': y)", {"a", "b"}),
        ("Error calling start module edgeHub: x", {"$edgeHub"}),
        ("Error calling start module a:x:y failed", {"a"}),
        ("Error calling start module Xray. It failed", {"Xray"}),
        ('Error calling stop module old: runtime operation error: get module "old"', {"old"}),
        ("Unable to process module a add or update as the module identity could not be obtained", {"a"}),
        ("Error calling List modules: no answer", set()),
        ("A module runtime error occurred.", set()),
        ("The operation was canceled.", set()),
    ],
)
def test_a_module_is_named_by_its_exact_name_and_without_case_where_that_is_unique(
    description: str, modules: set[str]
) -> None:
    names = ["Camera-1", "Xray", "Bark", "bark", "a", "b", "$edgeHub", "$edgeAgent"]
    assert modules == explain(description, image_outstanding=True, modules=names).modules.keys()


def test_a_step_without_a_module_is_about_all_that_is_outstanding() -> None:
    found = explain(f"{AGGREGATE} ({PULL}unauthorized) (The operation was canceled.)", image_outstanding=True)
    assert found.unnamed is not None
    assert (found.unnamed.reason, found.modules["m1"].reason) == (Reason.PULL_TIMED_OUT, Reason.REGISTRY_REFUSED)
    assert explain(PULL, image_outstanding=True).unnamed is None
