# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What ``preflight_compose`` can say."""

from __future__ import annotations

from .findings import CRITICAL, FAIL, HIGH, MEDIUM, UNKNOWN, WARN, Case, Rule, Text, table
from .preflight_compose_rules_content import CONTENT

# What programs that start as root and step down need, and what hardly reaches beyond the container. Docker gives most
# of these by itself; NET_RAW and MKNOD, which it gives too, are not among them.
HARMLESS = ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "KILL", "LEASE", "NET_BIND_SERVICE",
            "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT", "SYS_NICE")

RENDER = Rule(
    "compose-render", Text("compose file", "compose 파일"),
    Text("docker compose resolves it", "docker compose가 해석함"),
    {
        "refused": Case(
            FAIL, Text("docker compose refuses it: {reason}", "docker compose가 거부합니다: {reason}"),
            Text("Correct it until this ends without an error: docker compose config --quiet",
                 "다음 명령이 오류 없이 끝날 때까지 고치세요: docker compose config --quiet")),
        "empty": Case(
            FAIL, Text("it has no services", "서비스가 없습니다"),
            Text("Name the file that holds the services", "서비스가 들어 있는 파일을 지정하세요")),
        "unset": Case(
            WARN, Text("the variable {name} is not set; Compose puts nothing in its place",
                       "변수 {name}이(가) 없어 Compose가 빈 값으로 바꿉니다"),
            Text("Set {name} in .env", ".env에 {name}을(를) 넣으세요")),
        "unavailable": Case(
            UNKNOWN, Text("docker compose does not answer here: {reason}",
                          "이 컴퓨터에서 docker compose를 쓸 수 없습니다: {reason}"),
            Text("Install Docker's compose plugin, then try again: docker compose version",
                 "Docker의 compose 플러그인을 설치한 뒤 다시 실행하세요: docker compose version")),
    },
    severity=HIGH,
    why=Text("What Compose cannot resolve cannot be judged, and the next deploy would stop half way.",
             "Compose가 해석하지 못하는 파일은 판단할 수 없고, 다음 배포가 도중에 멈춥니다."))

PORT = Rule(
    "compose-port-public", Text("published port", "게시된 포트"),
    Text("published on 127.0.0.1 or ::1 only, unless the policy's public_ports names it",
         "정책의 public_ports에 없으면 127.0.0.1 또는 ::1에만 게시"),
    {
        "everywhere": Case(
            FAIL, Text("published on every address of the host", "호스트의 모든 주소에 게시됩니다"),
            Text("Write 127.0.0.1: before it, or add it to public_ports if it is meant to be public",
                 "앞에 127.0.0.1:을 붙이세요. 공개할 포트라면 public_ports에 추가하세요")),
        "address": Case(
            FAIL, Text("published on {address}, which others than this host can reach",
                       "이 호스트 밖에서도 닿는 {address}에 게시됩니다"),
            Text("Publish it on 127.0.0.1, or add it to public_ports if it is meant to be public",
                 "127.0.0.1에 게시하세요. 공개할 포트라면 public_ports에 추가하세요")),
        "ephemeral": Case(
            FAIL, Text("published on every address, on a port that Docker picks",
                       "Docker가 고르는 임의의 포트로 모든 주소에 게시됩니다"),
            Text("Write 127.0.0.1:PORT: before it, or use expose for what only other services need",
                 "앞에 127.0.0.1:포트:를 붙이거나, 다른 서비스만 쓴다면 expose를 쓰세요")),
    },
    severity=CRITICAL,
    why=Text("Docker's published ports bypass the host's INPUT chain and ufw. The VNIC's private address is public "
             "too, for OCI translates the public address to it one to one.",
             "Docker가 게시한 포트는 호스트의 INPUT 체인과 ufw를 거치지 않습니다. VNIC의 사설 주소도 OCI가 공인 주소와 "
             "1:1로 변환하므로 공개됩니다."))

PRIVILEGED = Rule(
    "compose-privileged", Text("privileged", "특권 컨테이너"),
    Text("no container, hook or build is privileged", "컨테이너, 훅, 빌드 모두 특권 없음"),
    {
        "container": Case(
            FAIL, Text("the container is privileged", "컨테이너가 특권(privileged)으로 실행됩니다"),
            Text("Remove privileged: true, and add the one capability or device that it needs",
                 "privileged: true를 지우고 꼭 필요한 capability나 장치 하나만 추가하세요")),
        "hook": Case(
            FAIL, Text("the {hook} hook runs privileged", "{hook} 훅이 특권으로 실행됩니다"),
            Text("Remove privileged: true from the hook", "훅에서 privileged: true를 지우세요")),
        "build": Case(
            FAIL, Text("the build runs privileged ({how})", "빌드가 특권으로 실행됩니다({how})"),
            Text("Remove it from build", "build에서 지우세요")),
        "provider": Case(
            FAIL, Text("in place of a container, the program {program} is run on the host itself",
                       "컨테이너 대신 호스트에서 직접 {program} 프로그램을 실행합니다"),
            Text("Replace provider by an image", "provider 대신 이미지를 쓰세요")),
    },
    severity=CRITICAL,
    why=Text("A privileged container is root on the host: all devices, all capabilities, no confinement.",
             "특권 컨테이너는 호스트의 root와 같습니다. 모든 장치와 capability를 가지며 격리가 없습니다."))

NETWORK_HOST = Rule(
    "compose-network-host", Text("host network", "호스트 네트워크"),
    Text("a network of its own behind Docker's bridge", "Docker 브리지 뒤의 자체 네트워크"),
    {
        "mode": Case(
            FAIL, Text("network_mode: host: every port it opens is the host's",
                       "network_mode: host이므로 여는 포트가 모두 호스트의 포트가 됩니다"),
            Text("Remove network_mode: host, and publish what is needed on 127.0.0.1",
                 "network_mode: host를 지우고 필요한 포트만 127.0.0.1에 게시하세요")),
        "network": Case(
            FAIL, Text("its network {network} is the host's own",
                       "네트워크 {network}이(가) 호스트 자체의 네트워크입니다"),
            Text("Attach it to a bridge network of the project", "프로젝트의 브리지 네트워크에 연결하세요")),
        "driver": Case(
            FAIL, Text("its network {network} ({driver}) gives it an address of its own, past the host's "
                       "firewall",
                       "네트워크 {network}({driver})은 호스트 방화벽을 거치지 않는 별도 주소를 줍니다"),
            Text("Use the bridge driver", "bridge 드라이버를 쓰세요")),
        "build": Case(
            FAIL, Text("its build runs in the host's network ({how})", "빌드가 호스트 네트워크에서 실행됩니다({how})"),
            Text("Remove it from build; what the build needs to reach is reachable without it",
                 "build에서 지우세요. 빌드에 필요한 인터넷 연결은 없어도 됩니다")),
        "foreign": Case(
            WARN, Text("it joins the network of the container {container}, which is not judged here",
                       "여기서 판단하지 않는 컨테이너 {container}의 네트워크에 들어갑니다"),
            Text("Name a service of this project: network_mode: service:NAME",
                 "이 프로젝트의 서비스를 지정하세요: network_mode: service:이름")),
    },
    severity=CRITICAL,
    why=Text("In the host's network a process reaches everything that listens on the host's loopback, and what it "
             "opens itself is open to the Internet.",
             "호스트 네트워크에서는 호스트의 127.0.0.1에서 듣는 모든 것에 닿고, 스스로 여는 포트는 인터넷에 열립니다."))


def _namespace(short: str, key: str, english: str, korean: str, why: Text, severity: str = HIGH) -> Rule:
    """One namespace that a container should have for itself."""
    return Rule(
        "compose-%s-host" % short, Text(english, korean),
        Text("a namespace of its own", "컨테이너 자체의 네임스페이스"),
        {
            "host": Case(
                FAIL, Text("%s: host shares it with the host" % key, "%s: host로 호스트와 공유합니다" % key),
                Text("Remove %s: host" % key, "%s: host를 지우세요" % key)),
            "foreign": Case(
                FAIL, Text("%s: container:{container} shares it with a container that is not of this project" % key,
                           "%s: container:{container}(으)로 이 프로젝트 밖의 컨테이너와 공유합니다" % key),
                Text("Remove it, or name a service of this project: %s: service:NAME" % key,
                     "지우거나 이 프로젝트의 서비스를 지정하세요: %s: service:이름" % key)),
        },
        severity=severity, why=why)


NAMESPACES = (
    _namespace("pid", "pid", "process namespace", "프로세스 네임스페이스",
               Text("It sees and signals the processes it shares with, and reads their environment and files through "
                    "/proc.",
                    "공유하는 프로세스를 보고 신호를 보내며 /proc으로 그 환경 변수와 파일을 읽습니다."), CRITICAL),
    _namespace("ipc", "ipc", "IPC namespace", "IPC 네임스페이스",
               Text("It reads and writes the shared memory of what it shares with.",
                    "공유하는 쪽의 공유 메모리를 읽고 쓸 수 있습니다.")),
    _namespace("userns", "userns_mode", "user namespace", "사용자 네임스페이스",
               Text("It leaves the user mapping that the Engine was set up with: root inside is root on the host.",
                    "Engine에 설정한 사용자 매핑을 벗어나 컨테이너의 root가 호스트의 root가 됩니다.")),
    _namespace("uts", "uts", "UTS namespace", "UTS 네임스페이스",
               Text("It can see and, with the capability for it, change the host's name.",
                    "호스트 이름을 보고, 권한이 있으면 바꿀 수 있습니다."), MEDIUM),
    _namespace("cgroup", "cgroup", "cgroup namespace", "cgroup 네임스페이스",
               Text("It sees the host's control groups, the first step of known escapes.",
                    "호스트의 cgroup을 보게 되며, 알려진 탈출 기법의 첫 단계입니다.")),
)

GATEWAY_MODE = Rule(
    "compose-gateway-mode", Text("gateway mode", "게이트웨이 모드"),
    Text("networks in Docker's own gateway mode, nat, or isolated",
         "네트워크의 게이트웨이 모드가 기본값 nat 또는 isolated"),
    {
        "open": Case(
            FAIL, Text("the network {network} has {option}: {value}, which lets others reach the "
                       "containers' own addresses",
                       "네트워크 {network}의 {option}: {value} 때문에 외부에서 컨테이너 주소로 직접 닿습니다"),
            Text("Remove this driver option", "이 드라이버 옵션을 지우세요")),
        "no-masquerade": Case(
            WARN, Text("the network {network} has {option}: {value}: containers leave the host by their own addresses",
                       "네트워크 {network}의 {option}: {value}로 컨테이너가 자체 주소로 호스트를 나갑니다"),
            Text("Remove this driver option unless your routing needs it",
                 "라우팅에 꼭 필요하지 않으면 이 옵션을 지우세요")),
    },
    severity=HIGH,
    why=Text("nat-unprotected and routed take away the filter that keeps unpublished ports of containers shut.",
             "nat-unprotected와 routed는 게시하지 않은 컨테이너 포트를 막아 주는 필터를 없앱니다."))

DOCKER_SOCKET = Rule(
    "compose-docker-socket", Text("Docker's API", "Docker API"),
    Text("no container reaches a container engine's API", "어떤 컨테이너도 컨테이너 엔진의 API에 닿지 않음"),
    {
        "mount": Case(
            FAIL, Text("{source} of the host is in the container, and with it the engine's socket",
                       "호스트의 {source}이(가) 컨테이너에 들어가 엔진 소켓에 닿습니다"),
            Text("Remove the mount; read-only does not help", "마운트를 지우세요. 읽기 전용이어도 소용없습니다")),
        "api": Case(
            FAIL, Text("use_api_socket hands it the engine's socket and the registry credentials",
                       "use_api_socket이 엔진 소켓과 레지스트리 인증 정보를 넘깁니다"),
            Text("Remove use_api_socket", "use_api_socket을 지우세요")),
        "variable": Case(
            FAIL, Text("{name} points it at an engine's API", "{name}이(가) 엔진 API를 가리킵니다"),
            Text("Remove {name}", "{name}을(를) 지우세요")),
        "argument": Case(
            FAIL, Text("its command talks to, or serves, an engine's API ({argument})",
                       "명령이 엔진 API에 접속하거나 API를 엽니다({argument})"),
            Text("Remove this argument", "이 인수를 지우세요")),
    },
    severity=CRITICAL,
    why=Text("Whoever reaches the API starts a privileged container and is root on the host, however the own container "
             "is confined. A socket mounted read-only takes every request all the same.",
             "API에 닿으면 특권 컨테이너를 만들어 호스트의 root가 됩니다. 소켓은 읽기 전용으로 마운트해도 모든 요청을 "
             "받습니다."))

MOUNT_SENSITIVE = Rule(
    "compose-mount-sensitive", Text("sensitive host path", "민감한 호스트 경로"),
    Text("no mount of what the system or its secrets are made of", "시스템과 비밀 정보가 있는 경로를 마운트하지 않음"),
    {
        "path": Case(
            FAIL, Text("{source} of the host is mounted at {target}",
                       "호스트의 {source}이(가) {target}에 마운트됩니다"),
            Text("Remove the mount, or mount only the one harmless file that is needed, read-only",
                 "마운트를 지우거나, 꼭 필요한 안전한 파일 하나만 읽기 전용으로 마운트하세요")),
        "leads": Case(
            FAIL, Text("{source} leads to {real} of the host, mounted at {target}",
                       "{source}은(는) 호스트의 {real}을(를) 가리키며 {target}에 마운트됩니다"),
            Text("Remove the mount, or replace the link by what is needed",
                 "마운트를 지우거나 링크 대신 필요한 파일만 두세요")),
        "settings": Case(
            FAIL, Text("{source} is mounted at {target}, and with it the project's .env",
                       "{source}이(가) {target}에 마운트되어 프로젝트의 .env까지 들어갑니다"),
            Text("Mount only the files that are needed, and hand over single keys by environment or secrets",
                 "필요한 파일만 마운트하고, 키는 environment나 secrets로 하나씩 넘기세요")),
        "logs": Case(
            WARN, Text("the host's logs ({source}) are mounted at {target}",
                       "호스트의 로그({source})가 {target}에 마운트됩니다"),
            Text("Mount only the one log that is needed", "필요한 로그만 마운트하세요")),
    },
    severity=CRITICAL,
    why=Text("What is mounted can be read by whoever takes over the container: password hashes, SSH keys, cloud "
             "credentials, other containers' data. Much of it leads to root on the host.",
             "컨테이너를 장악한 사람은 마운트된 것을 모두 읽습니다. 비밀번호 해시, SSH 키, 클라우드 인증 정보, 다른 "
             "컨테이너의 데이터가 그렇고, 대부분 호스트의 root로 이어집니다."))

MOUNT_WRITABLE = Rule(
    "compose-mount-writable", Text("writable host mount", "쓰기 가능한 호스트 마운트"),
    Text("data in named volumes; host paths read-only", "데이터는 이름 있는 볼륨에, 호스트 경로는 읽기 전용"),
    {
        "writable": Case(
            FAIL, Text("the container can write {source} of the host (mounted at {target})",
                       "컨테이너가 호스트의 {source}에 쓸 수 있습니다({target}에 마운트)"),
            Text("Add :ro, or use a named volume for data", ":ro를 붙이거나, 데이터라면 이름 있는 볼륨을 쓰세요")),
        "propagation": Case(
            FAIL, Text("mounts made in the container at {target} appear on the host ({propagation})",
                       "컨테이너가 {target}에 만든 마운트가 호스트에 나타납니다({propagation})"),
            Text("Remove bind.propagation", "bind.propagation을 지우세요")),
        "foreign": Case(
            FAIL, Text("it takes over the mounts of the container {container}, which is not judged here",
                       "여기서 판단하지 않는 컨테이너 {container}의 마운트를 물려받습니다"),
            Text("Name the volumes that are needed instead of volumes_from",
                 "volumes_from 대신 필요한 볼륨을 적으세요")),
    },
    severity=MEDIUM,
    why=Text("What a container writes on the host stays when it is replaced, may be run or read there by root, and no "
             "volume backup has it.",
             "컨테이너가 호스트에 쓴 파일은 컨테이너를 바꿔도 남고, 호스트에서 root가 실행하거나 읽을 수 있으며, 볼륨 "
             "백업에도 없습니다."))

DEVICE = Rule(
    "compose-device", Text("host device", "호스트 장치"), Text("no devices of the host", "호스트 장치 없음"),
    {
        "device": Case(
            FAIL, Text("it is given the device {device}", "장치 {device}을(를) 받습니다"),
            Text("Remove it from devices", "devices에서 지우세요")),
        "rule": Case(
            FAIL, Text("device_cgroup_rules allow it {device}", "device_cgroup_rules가 {device}을(를) 허용합니다"),
            Text("Remove device_cgroup_rules", "device_cgroup_rules를 지우세요")),
        "gpu": Case(
            WARN, Text("it is given a GPU ({device})", "GPU를 받습니다({device})"),
            Text("Keep it only where the service computes on it", "실제로 계산에 쓰는 서비스에만 남기세요")),
    },
    severity=HIGH,
    why=Text("A device is the host's hardware past every file permission: a disk holds all files, /dev/mem all memory.",
             "장치는 파일 권한을 건너뛰는 호스트 하드웨어입니다. 디스크에는 모든 파일이, /dev/mem에는 모든 메모리가 "
             "있습니다."))

CAPABILITY = Rule(
    "compose-capability", Text("capability", "capability"),
    Text("cap_add holds only %s" % ", ".join(HARMLESS), "cap_add에는 %s만" % ", ".join(HARMLESS)),
    {
        "added": Case(
            FAIL, Text("cap_add has {capability}", "cap_add에 {capability}이(가) 있습니다"),
            Text("Remove {capability} from cap_add", "cap_add에서 {capability}을(를) 지우세요")),
    },
    severity=HIGH,
    why=Text("The others are ways to the host's kernel, network or files, or to what other containers send: SYS_ADMIN, "
             "SYS_PTRACE, NET_ADMIN, and NET_RAW, with which a container forges its neighbours' addresses.",
             "그 밖의 capability는 호스트의 커널, 네트워크, 파일이나 다른 컨테이너의 통신에 닿는 길입니다. SYS_ADMIN, "
             "SYS_PTRACE, NET_ADMIN, 그리고 이웃 주소를 위조할 수 있는 NET_RAW가 그렇습니다."))

NO_NEW_PRIVILEGES = Rule(
    "compose-no-new-privileges", Text("no-new-privileges", "no-new-privileges"),
    Text('security_opt: ["no-new-privileges:true"]', 'security_opt: ["no-new-privileges:true"] 설정'),
    {
        "missing": Case(
            FAIL, Text("security_opt does not have it", "security_opt에 없습니다"),
            Text('Add security_opt: ["no-new-privileges:true"]',
                 'security_opt: ["no-new-privileges:true"]를 추가하세요')),
        "off": Case(
            FAIL, Text("security_opt turns it off", "security_opt에서 꺼져 있습니다"),
            Text("Write no-new-privileges:true", "no-new-privileges:true로 적으세요")),
    },
    severity=MEDIUM,
    why=Text("Without it a process gains what a setuid program in the image has, usually root.",
             "없으면 이미지 안의 setuid 프로그램으로 더 큰 권한(대개 root)을 얻을 수 있습니다."))

CAP_DROP = Rule(
    "compose-cap-drop", Text("cap_drop", "cap_drop"), Text("cap_drop: [ALL]", "cap_drop: [ALL] 설정"),
    {
        "missing": Case(
            FAIL, Text("cap_drop does not have ALL", "cap_drop에 ALL이 없습니다"),
            Text("Add cap_drop: [ALL], and cap_add for the few that it needs",
                 "cap_drop: [ALL]을 추가하고 꼭 필요한 것만 cap_add에 적으세요")),
    },
    severity=MEDIUM,
    why=Text("Docker gives every container fourteen capabilities; hardly any service needs more than two or three.",
             "Docker는 컨테이너마다 capability 14개를 주지만, 두세 개보다 많이 필요한 서비스는 거의 없습니다."))

UNCONFINED = Rule(
    "compose-unconfined", Text("confinement", "격리"),
    Text("Docker's own seccomp and AppArmor profiles, SELinux labels and masked paths",
         "Docker 기본 seccomp, AppArmor, SELinux 레이블, 경로 가림"),
    {
        "off": Case(
            FAIL, Text("security_opt has {option}", "security_opt에 {option}이(가) 있습니다"),
            Text("Remove {option} from security_opt", "security_opt에서 {option}을(를) 지우세요")),
    },
    severity=HIGH,
    why=Text("These stand between a process in the container and the kernel's seldom-used, often-broken parts.",
             "컨테이너의 프로세스와 커널의 취약한 부분 사이를 막는 장치입니다."))

SYSCTL = Rule(
    "compose-sysctl", Text("kernel setting", "커널 설정"),
    Text("sysctls of the container's own namespaces only", "컨테이너 자체 네임스페이스의 sysctl만"),
    {
        "host": Case(
            FAIL, Text("{name} is a setting of the whole host", "{name}은(는) 호스트 전체의 설정입니다"),
            Text("Remove it from sysctls; what the host needs is set on the host: /etc/sysctl.d",
                 "sysctls에서 지우세요. 호스트에 필요하면 호스트의 /etc/sysctl.d에서 설정하세요")),
    },
    severity=MEDIUM,
    why=Text("A setting that is not namespaced changes the host and every other container, or keeps this one from "
             "starting.",
             "네임스페이스에 속하지 않는 설정은 호스트와 다른 컨테이너까지 바꾸거나, 컨테이너가 뜨지 못하게 합니다."))

USER_ROOT = Rule(
    "compose-user-root", Text("root user", "root 사용자"),
    Text("no user: that is root; where there is none, the image's own user",
         "user가 root가 아님. 없으면 이미지의 사용자"),
    {
        "user": Case(
            FAIL, Text("user: {user} runs it as root", "user: {user}이므로 root로 실행됩니다"),
            Text("Remove user:, or name one that is not root", "user:를 지우거나 root가 아닌 사용자를 적으세요")),
        "hook": Case(
            FAIL, Text("its {hook} hook runs as root (user: {user})", "{hook} 훅이 root로 실행됩니다(user: {user})"),
            Text("Name a user for the hook that is not root", "훅에 root가 아닌 사용자를 적으세요")),
    },
    severity=MEDIUM,
    why=Text("Root in the container is the host's root to the kernel: any hole in the confinement is then the host's.",
             "커널에는 컨테이너의 root가 곧 호스트의 root입니다. 격리에 틈이 있으면 바로 호스트가 뚫립니다."))

RULES = table(RENDER, PORT, NETWORK_HOST, *NAMESPACES, GATEWAY_MODE, PRIVILEGED, DOCKER_SOCKET, MOUNT_SENSITIVE,
              MOUNT_WRITABLE, DEVICE, CAPABILITY, NO_NEW_PRIVILEGES, CAP_DROP, UNCONFINED, SYSCTL, USER_ROOT, *CONTENT)
