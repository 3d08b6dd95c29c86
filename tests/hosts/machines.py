"""Real hosts for tests: systemd as process 1, sshd, an address and a disk of their own, made with systemd-nspawn.

Each machine is a Debian of its own in its own namespaces, on a private bridge; nothing is mocked: units, reboots, cut
networks and full disks are the real thing. It has no kernel, no GPU and no boot loader of its own, and its limits on
memory are the outer machine's. Needs root and apt; the image is made once and kept in the user's cache folder.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

SUITE = "bookworm"
LOGIN = "ops"
ROOT_DIR = "/opt/deploykit"
DISK_MB = 400
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "openssh-server", "python3", "sudo", "iproute2", "procps", "kmod",
    "ca-certificates", "libnuma1",  # the last one is what vLLM's CPU build links to
    "python3-apt", "haproxy", "openssl", "prometheus", "prometheus-node-exporter", "prometheus-blackbox-exporter",
)  # fmt: skip
TOOLS = {
    "systemd-nspawn": "systemd-container", "mmdebstrap": "mmdebstrap", "nft": "nftables", "ip": "iproute2",
    "ssh": "openssh-client", "ssh-keygen": "openssh-client", "nsenter": "util-linux",
}  # fmt: skip
MASKED = ("systemd-networkd-wait-online.service", "systemd-timesyncd.service", "apt-daily.timer",
          "apt-daily-upgrade.timer", "e2scrub_reap.service")  # fmt: skip
BOOT = Path(__file__).with_name("boot.sh")


def why_not() -> str | None:
    """Return why machines cannot be had here, or None. With root and apt, what fails is an error and no reason to skip."""
    if not sys.platform.startswith("linux"):
        return "hosts are made with systemd-nspawn, which is Linux's"
    if os.geteuid() != 0:
        return "hosts need root, for namespaces and mounts"
    if any(shutil.which(tool) is None for tool in TOOLS) and shutil.which("apt-get") is None:
        return "systemd-nspawn or its helpers are not installed, and there is no apt to install them with"
    return _forbidden()


def _forbidden() -> str | None:
    """Return what the kernel does not let this root do, as in a container without privileges, or None."""
    mount = "mount -t tmpfs tmpfs /mnt && mkdir /mnt/g && mount -t cgroup2 cgroup2 /mnt/g"
    tries = {"mounts of their own": ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount]}
    if shutil.which("ip"):
        tries["networks of their own"] = ["unshare", "--net", "ip", "link", "add", "probe0", "type", "bridge"]
    for what, command in tries.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"hosts need {what}, which are forbidden here: {done.stderr.strip()}"
    return None


def sh(*command: str | Path, text: str | None = None, check: bool = True) -> str:
    """Run a command and return what it printed; what it says when it fails is the error."""
    done = subprocess.run([str(c) for c in command], input=text, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def install_tools() -> None:
    """Install by apt what is missing to make machines."""
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        wait = ("-o", "DPkg::Lock::Timeout=300", "-qq")
        sh("apt-get", *wait, "update")
        sh("apt-get", *wait, "install", "-y", "--no-install-recommends", *missing)


def image(
    cache: Path, suite: str = SUITE, packages: Sequence[str] = PACKAGES, source: str | Path | None = None
) -> Path:
    """Return an image for machines, made by `source` or this machine's own apt sources unless it is there."""
    recipe = hashlib.sha256(repr((suite, packages, MASKED)).encode()).hexdigest()[:12]
    folder = cache / f"{suite}-{recipe}"
    if folder.is_dir():
        return folder
    made = cache / f".{folder.name}-{os.getpid()}"
    sources = (
        [source]
        if source
        else [p for p in map(Path, ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")) if p.exists()]
    )
    # If the machine goes down while it is made, it is made again.
    options = ["--dpkgopt=force-unsafe-io"]
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale", "doc")]
    try:
        sh("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}",
           '--aptopt=APT::Install-Recommends "false"', *options, suite, made, *sources[:1])  # fmt: skip
        _furnish(made)
        with contextlib.suppress(OSError):  # another session was quicker
            made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _furnish(root: Path) -> None:
    """Make of a fresh Debian what every machine has in common."""
    for key in root.glob("etc/ssh/ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")
    for unit in MASKED:
        mask = root / "etc/systemd/system" / unit
        mask.unlink(missing_ok=True)
        mask.symlink_to("/dev/null")
    (root / "var/log/journal").mkdir(parents=True, exist_ok=True)
    sh("chroot", root, "useradd", "-m", "-s", "/bin/bash", LOGIN)
    sudo = root / "etc/sudoers.d" / LOGIN
    sudo.write_text(f"{LOGIN} ALL=(ALL) NOPASSWD: ALL\n")
    sudo.chmod(0o440)
    ours = root / "etc/ssh/sshd_config.d/hosts.conf"
    ours.write_text("PermitRootLogin no\nPasswordAuthentication no\nUseDNS no\n")
    # A machine without a network must not wait for an archive or a name server.
    for path in [*root.glob("etc/apt/sources.list.d/*"), root / "etc/apt/sources.list", root / "etc/resolv.conf"]:
        path.unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")


def with_python_of_the_image(environment: Path, folder: Path) -> Path:
    """Return a virtual environment as a machine can use it: its interpreter is the image's own, of the same version."""
    made = folder / "engine"
    for name in ("upper/bin", "work", "root"):
        (made / name).mkdir(parents=True)
    version = next((environment / "lib").glob("python3*")).name
    for name in ("python", "python3", version):
        (made / "upper/bin" / name).symlink_to(f"/usr/bin/{version}")
    settings = (environment / "pyvenv.cfg").read_text().splitlines()
    own = ["home = /usr/bin" if line.startswith("home") else line for line in settings]
    (made / "upper/pyvenv.cfg").write_text("\n".join(own) + "\n")
    sh("mount", "-t", "overlay", "overlay", "-o",
       f"lowerdir={environment},upperdir={made}/upper,workdir={made}/work", made / "root")  # fmt: skip
    return made / "root"


class Machine:
    """One host. Faults are made from outside, so that they also work on one that is cut off."""

    def __init__(self, lab: "Lab", number: int) -> None:
        self.lab, self.number = lab, number
        self.name = f"node{number}"
        self.address = f"{lab.net}.{10 + number}"
        self.folder = lab.folder / self.name
        self._disk = lab.key.parent / f"{self.name}-disk"
        self._veth = f"{lab.name}v{number}"
        self._namespace = f"{lab.name}-{self.name}"
        self._cgroup = lab.cgroup / lab.name / self.name
        self._runs: subprocess.Popen[bytes] | None = None

    def make(self, binds: Mapping[str, Path], disk_mb: int | None) -> None:
        """Give it its files, its disk and its cable, and boot it."""
        root, disk = self.folder / "root", self._disk
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        disk.mkdir()
        sh("mount", "-t", "overlay", "overlay", "-o",
           f"lowerdir={self.lab.image},upperdir={self.folder}/upper,workdir={self.folder}/work", root)  # fmt: skip
        if disk_mb is not None:
            sh("mount", "-t", "tmpfs", "-o", f"size={disk_mb}m", "tmpfs", disk)
        self.binds = [f"--bind={disk}:{ROOT_DIR}"]
        for inside, outside in binds.items():
            (disk / inside).mkdir(parents=True, exist_ok=True)
            self.binds.append(f"--bind-ro={outside}:{ROOT_DIR}/{inside}")
        (root / "etc/hostname").write_text(self.name + "\n")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        key = root / "etc/ssh/ssh_host_ed25519_key"
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", key)
        self.host_key = " ".join(Path(f"{key}.pub").read_text().split()[:2])
        self.authorize(self.lab.key)
        self._plug()
        self.boot()

    def authorize(self, key: Path) -> None:
        """Let one key in, and no other."""
        home = self.folder / "root/home" / LOGIN
        owner = home.stat()
        ssh = home / ".ssh"
        ssh.mkdir(mode=0o700, exist_ok=True)
        keys = ssh / "authorized_keys"
        keys.write_text(Path(f"{key}.pub").read_text())
        keys.chmod(0o600)
        for path in (ssh, keys):
            os.chown(path, owner.st_uid, owner.st_gid)

    def boot(self) -> None:
        """Power on; what is on its disks is kept."""
        self._cgroup.mkdir(parents=True, exist_ok=True)
        log = (self.folder / "console.log").open("ab")
        with log:
            self._runs = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "bash", str(BOOT), str(self._cgroup), self.name,
                 str(self.folder / "root"), f"/run/netns/{self._namespace}", *self.binds, *self.lab.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """Cut the power: SIGKILL to everything on it."""
        if self._cgroup.is_dir():
            (self._cgroup / "cgroup.kill").write_text("1")
            end = time.monotonic() + 20
            while "populated 1" in (self._cgroup / "cgroup.events").read_text():
                if time.monotonic() > end:
                    raise RuntimeError(f"{self.name} does not die")
                time.sleep(0.05)
        if self._runs is not None:
            self._runs.wait()
            self._runs = None
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()

    def wait(self) -> None:
        """Wait until it answers over SSH; it tells what it printed if it does not."""
        end = time.monotonic() + 60
        while self.ssh("true", check=False).returncode:
            if time.monotonic() > end:
                raise RuntimeError(
                    f"{self.name} does not answer:\n" + (self.folder / "console.log").read_text()[-2000:]
                )
            time.sleep(0.1)

    def ssh(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command over SSH as the login user."""
        return subprocess.run(
            ["ssh", "-F", "/dev/null", *self.lab.ssh_options(), "-o", "BatchMode=yes", "-o", "ConnectTimeout=3",
             f"{LOGIN}@{self.address}", "--", *command],
            capture_output=True, text=True, check=check,
        )  # fmt: skip

    def root(self, *command: str, check: bool = True) -> str:
        """Run a command as root without its network or sshd."""
        return sh(*self.into(*command), check=check)

    def into(self, *command: str) -> list[str]:
        """Return how a command is run as root without its network or sshd."""
        pid = (self._cgroup / "payload/init.scope/cgroup.procs").read_text().split()[0]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return ["nsenter", "-t", pid, "-a", "--", "env", "-i", path, "HOME=/root", *command]

    def until(self, path: str) -> None:
        """Wait until a file on it has content."""
        end = time.monotonic() + 60
        while not self.root("sh", "-c", f"test -s {path} && echo there || true"):
            if time.monotonic() > end:
                raise RuntimeError(f"{path} does not come to {self.name}")
            time.sleep(0.05)

    def reboot(self) -> None:
        """Let it reboot by itself, and wait until it is back."""
        before = self.root("cat", "/proc/sys/kernel/random/boot_id"), self._pid()
        self.root("systemctl", "reboot", "--no-block", check=False)
        end = time.monotonic() + 60
        while self._pid() in (None, before[1]):
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not reboot")
            time.sleep(0.1)
        self.wait()

    def _pid(self) -> str | None:
        with contextlib.suppress(OSError, IndexError):
            return (self._cgroup / "payload/init.scope/cgroup.procs").read_text().split()[0]
        return None

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        """Drop every packet it sends, on our side of the cable: SSH hangs and times out."""
        table = (
            f'table netdev {self._veth} {{\n chain c {{\n  type filter hook ingress device "{self._veth}" priority 0\n'
            "  policy drop\n }\n}\n"
        )
        sh("nft", "-f", "-", text=table)
        try:
            yield
        finally:
            sh("nft", "delete", "table", "netdev", self._veth)

    @contextlib.contextmanager
    def unplugged(self) -> Iterator[None]:
        """Pull its cable: the link is down on both sides."""
        sh("ip", "link", "set", self._veth, "down")
        try:
            yield
        finally:
            sh("ip", "link", "set", self._veth, "up")
            self.wait()

    @contextlib.contextmanager
    def powered_off(self) -> Iterator[None]:
        """Cut its power in the middle of whatever it does; what is on its disks is kept."""
        self.kill()
        try:
            yield
        finally:
            self.boot()
            self.wait()

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Fill the disk that deploykit's folder is on, to the last block."""
        if not self._disk.is_mount():
            raise RuntimeError(f"{self.name} has no disk of its own: filling it would fill this machine's")
        filler = self._disk / ".filler"
        try:
            # Without a buffer: what a buffer still holds would fail once more when the file is closed.
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(b"\0" * (1 << 20)):
                    pass
            yield
        finally:
            filler.unlink()

    @contextlib.contextmanager
    def without_sudo(self) -> Iterator[None]:
        """Take the login user's sudo away."""
        rule, aside = self.folder / "root/etc/sudoers.d" / LOGIN, self.folder / "sudoers"
        shutil.move(rule, aside)
        try:
            yield
        finally:
            shutil.copy(aside, rule)
            rule.chmod(0o440)

    @contextlib.contextmanager
    def without_python(self) -> Iterator[None]:
        """Take every Python away, as on a minimal image."""
        folder = self.folder / "root/usr/bin"
        found = [path for path in folder.glob("python3*") if not path.name.endswith("-aside")]
        for path in found:
            path.rename(f"{path}-aside")
        try:
            yield
        finally:
            for path in found:
                Path(f"{path}-aside").rename(path)

    @contextlib.contextmanager
    def without_sshd(self) -> Iterator[None]:
        """Stop sshd."""
        self.root("systemctl", "stop", "ssh.service")
        try:
            yield
        finally:
            self.root("systemctl", "start", "ssh.service")
            self.wait()

    def _plug(self) -> None:
        """Lay the cable; it outlives the machine, as a cable outlives a reboot."""
        inside = ("ip", "-n", self._namespace)
        sh("ip", "netns", "add", self._namespace)
        sh("ip", "link", "add", self._veth, "type", "veth", "peer", "name", "host0", "netns", self._namespace)
        sh("ip", "link", "set", self._veth, "master", self.lab.name, "up")
        sh(*inside, "link", "set", "lo", "up")
        sh(*inside, "addr", "add", f"{self.address}/24", "dev", "host0")
        sh(*inside, "link", "set", "host0", "up")
        sh(*inside, "route", "add", "default", "via", f"{self.lab.net}.1")

    def destroy(self) -> None:
        """Leave nothing of it."""
        self.kill()
        for mount in (self.folder / "root", self._disk):
            sh("umount", "-l", mount, check=False)
        shutil.rmtree(self._disk, ignore_errors=True)
        sh("ip", "netns", "del", self._namespace, check=False)
        sh("ip", "link", "del", self._veth, check=False)


class Lab:
    """Machines on a bridge of their own, with one key to get in."""

    options: tuple[str, ...] = ()
    """More options of systemd-nspawn."""

    def make_image(self) -> Path:
        """Return the machines' image."""
        return image(self._cache)

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self._cache = folder, cache
        self.cgroup = folder / "cgroup"
        self.machines: list[Machine] = []

    def __enter__(self) -> Self:
        self._cache.mkdir(parents=True, exist_ok=True)
        with (self._cache / "lock").open("w") as lock:  # another session may be at it: it is done once
            fcntl.flock(lock, fcntl.LOCK_EX)
            install_tools()
            self.image = self.make_image()
        self.name, self.net = _bridge()
        self.key = self.folder / "id_ed25519"
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hosts", "-f", self.key)
        self.cgroup.mkdir()
        # Our own view of the one cgroup tree, wherever this machine mounts it, if it does.
        sh("mount", "-t", "cgroup2", "cgroup2", self.cgroup)
        (self.cgroup / self.name).mkdir()
        # Overlays do not lie on overlays, which is what a container's disk is.
        (self.folder / "state").mkdir()
        sh("mount", "-t", "tmpfs", "tmpfs", self.folder / "state")
        self.folder = self.folder / "state"
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.machines:
            machine.destroy()
        sh("umount", "-l", self.folder / "engine/root", check=False)
        (self.cgroup / self.name).rmdir()
        sh("umount", "-l", self.cgroup, self.folder, check=False)
        sh("ip", "link", "del", self.name, check=False)

    def add(
        self, count: int, binds: Mapping[str, Path] | None = None, *, disk_mb: int | None = DISK_MB
    ) -> Sequence[Machine]:
        """Make and boot more machines.

        Args:
            count: how many.
            binds: read-only folders under deploykit's own folder on them.
            disk_mb: size of the disk that deploykit's folder is on, in memory; None is a folder on this machine's disk.

        """
        new = [Machine(self, len(self.machines) + 1 + i) for i in range(count)]
        self.machines += new
        for machine in new:
            machine.make(binds or {}, disk_mb)
        (self.key.parent / "known_hosts").write_text("".join(f"{m.address} {m.host_key}\n" for m in self.machines))
        for machine in new:
            machine.wait()
        return new

    def ssh_options(self, key: Path | None = None) -> list[str]:
        """Return what ssh needs to get in, and to know whom it talks to."""
        return ["-i", str(key or self.key), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes",
                "-o", f"UserKnownHostsFile={self.key.parent}/known_hosts", "-o", "LogLevel=ERROR"]  # fmt: skip

    def inventory(self, path: Path, machines: Sequence[Machine] | None = None, *, key: Path | None = None) -> Path:
        """Write an Ansible inventory with the machines in the group `nodes`."""
        options = self.ssh_options(key)[2:]
        nodes: dict[str, Any] = {
            "hosts": {m.name: {"ansible_host": m.address} for m in machines or self.machines},
            "vars": {
                "ansible_user": LOGIN,
                "ansible_ssh_private_key_file": str(key or self.key),
                "ansible_ssh_common_args": " ".join(options),
            },
        }
        path.write_text(yaml.safe_dump({"nodes": nodes}, sort_keys=False))
        return path


def _bridge() -> tuple[str, str]:
    """Make a bridge with the first network that nobody here has taken; return its name and its first three octets."""
    for number in range(10, 250):
        name, net = f"dkt{number}", f"10.213.{number}"
        if subprocess.run(["ip", "link", "add", name, "type", "bridge"], capture_output=True, check=False).returncode:
            continue
        sh("ip", "addr", "add", f"{net}.1/24", "dev", name)
        sh("ip", "link", "set", name, "up")
        return name, net
    raise RuntimeError("no network is left for test hosts: `ip link` shows bridges named dkt*")
