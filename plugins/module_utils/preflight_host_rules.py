# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""All that the preflight can say about a running host."""

from __future__ import annotations

from .findings import CRITICAL, FAIL, HIGH, MEDIUM, UNKNOWN, WARN, Case, Rule, Text, table

_AS_ROOT = Text("Run it as root on the host: sudo coinpilot-ops preflight",
                "호스트에서 root로 실행하세요: sudo coinpilot-ops preflight")
_ENGINE = Text("Is Docker running? sudo systemctl status docker - and run this as root",
               "Docker가 실행 중인가요? sudo systemctl status docker - 그리고 root로 실행하세요")
_APPLY = Text("Apply the file: deploy again (ansible-playbook site.yml)",
              "파일을 적용하세요: 다시 배포(ansible-playbook site.yml)")
_STRAY = Text("Remove it if nothing needs it: docker rm -f {subject}; otherwise start it without that",
              "필요 없으면 지우세요: docker rm -f {subject}. 필요하면 해당 설정 없이 다시 시작하세요")
_HARDEN = Text("Let the role do it: ansible-playbook site.yml -e security_preflight_harden=true",
               "역할이 고치게 하세요: ansible-playbook site.yml -e security_preflight_harden=true")
_SSHD_EDIT = Text("Set it in a drop-in that sorts before all others (the first value wins), then sudo sshd -t && "
                  "sudo systemctl reload ssh; or let the role do it: ansible-playbook site.yml "
                  "-e security_preflight_harden=true",
                  "이름순으로 가장 앞선 드롭인 파일에서 설정하고(먼저 나온 값이 적용됨) sudo sshd -t && sudo systemctl "
                  "reload ssh 하세요. 또는 역할이 고치게 하세요: ansible-playbook site.yml "
                  "-e security_preflight_harden=true")

RULES = table(
    Rule(
        "host-container", Text("containers", "컨테이너"),
        Text("the project's containers are those of the file, with the file's settings",
             "프로젝트 컨테이너가 파일에 있는 그대로이며 설정도 같음"),
        {
            "environment": Case(FAIL, Text("runs with other values than the file and .env give: {keys}",
                                           "파일, .env와 다른 값으로 실행 중: {keys}"), _APPLY),
            "extra": Case(WARN, Text("belongs to the project {project}, and the file does not describe it",
                                     "프로젝트 {project}에 속하지만 파일에 없음"),
                          Text("If nothing needs it: docker rm -f {subject}", "필요 없다면: docker rm -f {subject}")),
            "missing": Case(WARN, Text("is in the file and does not run", "파일에 있지만 실행되고 있지 않음"),
                            Text("See why: docker compose ps --all {subject}",
                                 "원인을 확인하세요: docker compose ps --all {subject}")),
        }, _ENGINE, MEDIUM,
        Text("What was judged is the file. A container that was made from another one was judged by nobody.",
             "판정한 것은 파일입니다. 다른 파일로 만든 컨테이너는 아무도 점검하지 않은 셈입니다.")),
    Rule(
        "host-binding", Text("published port", "공개된 포트"),
        Text("containers publish on the host's loopback alone, but for the policy's public_ports",
             "정책의 public_ports 외에는 컨테이너 포트를 호스트 루프백에만 공개함"),
        {
            "public": Case(FAIL, Text("publishes {binding}", "{binding}에 공개됨"),
                           Text("Publish it on 127.0.0.1 and deploy again, or allow the port in "
                                "stack_security.public_ports",
                                "127.0.0.1에만 공개하고 다시 배포하거나, stack_security.public_ports에서 허용하세요")),
            "host-network": Case(FAIL, Text("shares the host's network: every port it listens on is the host's",
                                            "호스트 네트워크를 공유해, 여는 포트가 모두 호스트의 포트가 됨"),
                                 Text("Give it a network of its own (no --network host, no network_mode: host)",
                                      "별도 네트워크를 쓰세요(--network host, network_mode: host 제거)")),
            "gateway": Case(FAIL, Text("the network {network} ({mode}) shows ports that nobody published",
                                       "네트워크 {network}({mode})에서는 공개하지 않은 포트도 보임"),
                            Text("Move it to a bridge network in its default mode (nat)",
                                 "기본 모드(nat)의 브리지 네트워크로 옮기세요")),
            "other": Case(WARN, Text("publishes {binding}, which the file does not say",
                                     "파일에 없는 {binding}을(를) 공개함"),
                          _APPLY),
        }, _ENGINE, CRITICAL,
        Text("Docker's published ports bypass the INPUT chain, and ufw with it. An address of the VNIC counts as "
             "public: "
             "the cloud maps its public address to it.",
             "Docker가 공개한 포트는 INPUT 체인과 ufw를 거치지 않습니다. VNIC의 사설 주소도 공인 주소와 1:1로 "
             "연결되므로 "
             "공개된 것과 같습니다.")),
    Rule(
        "host-privilege", Text("privileges", "권한"),
        Text("no container has more power, or fewer limits, than its file says; a stray one has none that is dangerous",
             "컨테이너의 권한과 제한이 파일과 같고, 파일에 없는 컨테이너에는 위험한 권한이 없음"),
        {
            "beyond": Case(FAIL, Text("has more than the file says: {powers}",
                                      "파일보다 많은 권한이 있음: {powers}"), _APPLY),
            "lacking": Case(FAIL, Text("lacks a limit of the file: {limits}",
                                       "파일의 제한이 빠져 있음: {limits}"), _APPLY),
            "stray": Case(FAIL, Text("no file describes it, and it has: {powers}",
                                     "파일에 없는 컨테이너인데 위험한 권한이 있음: {powers}"), _STRAY),
        }, _ENGINE, CRITICAL,
        Text("Whoever takes over a privileged container has taken over the host.",
             "특권 컨테이너가 뚫리면 호스트 전체가 뚫립니다.")),
    Rule(
        "host-mount", Text("mount", "마운트"),
        Text("containers see of the host's files what their file says; a stray one sees nothing sensitive",
             "컨테이너가 보는 호스트 파일이 파일과 같고, 파일에 없는 컨테이너에는 민감한 경로가 없음"),
        {
            "sensitive": Case(FAIL, Text("no file describes it, and it has {source} at {target}",
                                         "파일에 없는 컨테이너인데 {source}이(가) {target}에 마운트됨"), _STRAY),
            "beyond": Case(FAIL, Text("has {source} at {target}, which the file does not say",
                                      "파일에 없는 {source}이(가) {target}에 마운트됨"), _APPLY),
            "other": Case(FAIL, Text("has {source} at {target}; the file says {wanted}",
                                     "{target}에 {source}이(가) 마운트됨. 파일에는 {wanted}"), _APPLY),
            "writable": Case(FAIL, Text("may write to {source} at {target}; the file says read-only",
                                        "{target}의 {source}에 쓸 수 있음. 파일에는 읽기 전용"), _APPLY),
        }, _ENGINE, CRITICAL,
        Text("Docker's socket, /etc or the like inside a container make its user the host's root.",
             "컨테이너 안에 Docker 소켓이나 /etc 등이 있으면 그 컨테이너 사용자가 곧 호스트의 root입니다.")),
    Rule(
        "host-user", Text("user", "사용자"),
        Text("the processes of the project's containers do not run as root, unless the file says so",
             "파일에 지정하지 않은 한 프로젝트 컨테이너의 프로세스가 root로 실행되지 않음"),
        {
            "other": Case(FAIL, Text("was made for the user {user}; the file says {wanted}",
                                     "사용자 {user}(으)로 만들어짐. 파일에는 {wanted}"), _APPLY),
            "root": Case(FAIL, Text("was made for the user {user}, and these run as root: {processes}",
                                    "사용자 {user}(으)로 만들었는데 root로 실행 중인 프로세스가 있음: {processes}"),
                         Text("See what they are, and end them: docker top {subject}",
                              "무엇인지 확인하고 종료하세요: docker top {subject}")),
            "unnamed": Case(WARN, Text("neither the file nor the image names a user, and these run as root: "
                                       "{processes}",
                                       "파일에도 이미지에도 사용자가 없어 root로 실행 중: {processes}"),
                            Text("Give the service a user, and deploy again",
                                 "서비스에 user를 지정하고 다시 배포하세요")),
        }, _ENGINE, HIGH,
        Text("Root in a container is the host's root behind one wall less.",
             "컨테이너의 root는 벽 하나를 사이에 둔 호스트의 root입니다.")),
    Rule(
        "host-image", Text("image", "이미지"),
        Text("each container runs the image that its file names now", "각 컨테이너가 파일에 적힌 현재 이미지를 실행함"),
        {
            "other": Case(FAIL, Text("runs {image}; the file says {wanted}",
                                     "{image} 실행 중. 파일에는 {wanted}"), _APPLY),
            "older": Case(FAIL, Text("runs {digest}, and {wanted} is another image by now",
                                     "{digest} 실행 중이지만, {wanted}은(는) 이미 다른 이미지임"), _APPLY),
            "gone": Case(WARN, Text("{wanted} is no longer on this host; the container runs {digest}",
                                    "{wanted} 이미지가 호스트에 더는 없고, 컨테이너는 {digest} 실행 중"),
                         Text("Deploy again while it still runs: a restart from nothing would fail",
                              "실행 중일 때 다시 배포하세요. 지금 컨테이너를 지우면 다시 만들 수 없습니다")),
        }, _ENGINE, MEDIUM,
        Text("A container goes on with its old image, and that one's holes, until it is made anew.",
             "컨테이너는 새로 만들기 전까지 예전 이미지와 그 취약점을 그대로 씁니다.")),
    Rule(
        "host-listener", Text("listener", "리스너"),
        Text("nothing but sshd and the policy's public_ports listens beyond loopback",
             "sshd와 정책의 public_ports 외에는 루프백 밖에서 듣는 프로그램이 없음"),
        {
            "open": Case(FAIL, Text("{process} listens on {address}", "{process}이(가) {address}에서 듣고 있음"),
                         Text("Stop it, or let it listen on 127.0.0.1: sudo ss -lntup; or allow the port in "
                              "stack_security.public_ports",
                              "중지하거나 127.0.0.1에서만 듣게 하세요: sudo ss -lntup. 또는 "
                              "stack_security.public_ports에서 "
                              "허용하세요")),
            "filtered": Case(WARN, Text("{process} listens on {address}; only the packet filter keeps it shut",
                                        "{process}이(가) {address}에서 듣고 있으며 패킷 필터만이 막고 있음"),
                             Text("If nothing needs it, stop it: sudo ss -lntup",
                                  "필요 없으면 중지하세요: sudo ss -lntup")),
        }, _AS_ROOT, HIGH,
        Text("What listens can be attacked, and one mistake in the cloud's rules is enough to show it to the world.",
             "열려 있는 것은 공격받을 수 있고, 클라우드 규칙 하나만 잘못되어도 전 세계에 노출됩니다.")),
    Rule(
        "host-dnat", Text("DNAT rule", "DNAT 규칙"),
        Text("every port that the host sends on was published by a container that runs",
             "호스트가 전달하는 포트는 모두 실행 중인 컨테이너가 공개한 것임"),
        {
            "stray": Case(FAIL, Text("sent on to {goal}, and no container has published it: {rule}",
                                     "{goal}(으)로 전달되지만 어느 컨테이너도 공개하지 않음: {rule}"),
                          Text("Delete the rule: sudo iptables -t nat -S (or sudo nft list ruleset), then -D in place "
                               "of -A",
                               "규칙을 지우세요: sudo iptables -t nat -S(또는 sudo nft list ruleset)에서 찾아 -A를 "
                               "-D로 바꿔 실행")),
            "every-port": Case(FAIL, Text("every port is sent on to {goal}: {rule}",
                                          "모든 포트가 {goal}(으)로 전달됨: {rule}"),
                               Text("Delete the rule: sudo iptables -t nat -S, then -D in place of -A",
                                    "규칙을 지우세요: sudo iptables -t nat -S에서 찾아 -A를 -D로 바꿔 실행")),
        }, _AS_ROOT, HIGH,
        Text("Such a port is open although nothing listens on it: `ss` does not show it, and INPUT never sees it.",
             "이런 포트는 듣는 프로그램이 없어도 열려 있습니다. ss에도 보이지 않고 INPUT도 거치지 않습니다.")),
    Rule(
        "host-docker-user", Text("DOCKER-USER", "DOCKER-USER"),
        Text("what comes from outside meets DOCKER-USER first, and gets through to the policy's public_ports alone",
             "외부에서 오는 패킷이 DOCKER-USER를 가장 먼저 거치고, 정책의 public_ports로만 통과함"),
        {
            "absent": Case(FAIL, Text("there is no such chain", "체인이 없음"),
                           Text("Restart Docker, which makes it: sudo systemctl restart docker. An Engine with "
                                "firewall-backend nftables has none: set iptables",
                                "Docker를 재시작하면 생깁니다: sudo systemctl restart docker. firewall-backend가 "
                                "nftables인 "
                                "Engine에는 없으므로 iptables로 설정하세요")),
            "unreached": Case(FAIL, Text("something in FORWARD lets packets through before they come to it",
                                         "FORWARD의 다른 규칙이 먼저 통과시킴"), _HARDEN),
            "open": Case(WARN, Text("lets everything through: one mistaken port in a compose file is open to the world",
                                    "모두 통과시킴. compose 파일에서 포트 하나만 잘못 써도 외부에 열림"), _HARDEN),
            "shut": Case(WARN, Text("refuses what the policy allows: {ports}",
                                    "정책이 허용한 포트를 막고 있음: {ports}"), _HARDEN),
            "not-saved": Case(WARN, Text("its rules are in force now, and nothing puts them back after a reboot",
                                         "지금은 적용되어 있지만 재부팅하면 사라짐"), _HARDEN),
        }, _AS_ROOT, HIGH,
        Text("It is the only chain that Docker leaves to the host's owner: no rule elsewhere stops a published port.",
             "Docker가 호스트 운영자에게 맡겨 둔 유일한 체인입니다. 다른 곳의 규칙은 공개된 포트를 막지 못합니다.")),
    Rule(
        "host-reject", Text("final REJECT", "마지막 REJECT"),
        Text("the packet filter refuses what no rule is about, now and after a reboot",
             "규칙에 없는 패킷은 지금도 재부팅 후에도 거부됨"),
        {
            "gone": Case(FAIL, Text("nothing refuses the rest any more; the saved rules still do",
                                    "저장된 규칙과 달리 지금은 나머지를 거부하지 않음"), _HARDEN),
            "none": Case(WARN, Text("this host filters nothing itself: only the cloud's security list stands before it",
                                    "이 호스트는 아무것도 거르지 않음. 클라우드 보안 목록만이 막고 있음"),
                         Text("Keep the security list tight; OCI's own images end INPUT with REJECT "
                              "icmp-host-prohibited",
                              "보안 목록을 엄격히 유지하세요. OCI 기본 이미지의 INPUT은 REJECT icmp-host-prohibited로 "
                              "끝납니다")),
            "saved-without": Case(FAIL, Text("{file} does not have it: after a reboot everything is open",
                                             "{file}에 없어 재부팅하면 모두 열림"),
                                  Text("Add to it, last: -A INPUT -j REJECT --reject-with icmp-host-prohibited",
                                       "마지막 줄로 추가하세요: -A INPUT -j REJECT --reject-with "
                                       "icmp-host-prohibited")),
            "not-saved": Case(WARN, Text("in force now, and nothing that is known puts it back after a reboot",
                                         "지금은 적용되어 있지만, 재부팅 후 복원하는 방법이 확인되지 않음"),
                              Text("Install iptables-persistent, and save the rules without Docker's own",
                                   "iptables-persistent를 설치하고 Docker의 규칙을 뺀 나머지를 저장하세요")),
            "two-places": Case(WARN, Text("both iptables-nft and iptables-legacy have rules, and each shows its own "
                                          "alone",
                                          "iptables-nft와 iptables-legacy 양쪽에 규칙이 있고, 서로 자기 것만 보임"),
                               Text("Keep one: sudo iptables-legacy-save, sudo iptables-nft-save",
                                    "한쪽만 남기세요: sudo iptables-legacy-save, sudo iptables-nft-save")),
        }, _AS_ROOT, HIGH,
        Text("It is the host's own wall behind the cloud's: a service that listens by mistake stays unreachable.",
             "클라우드 규칙 뒤에 있는 호스트 자신의 벽입니다. 실수로 열린 서비스도 닿지 않게 합니다.")),
    Rule(
        "host-web-ports", Text("opened port", "열린 포트"),
        Text("the packet filter opens 22 and the policy's public_ports, and no other",
             "패킷 필터가 22와 정책의 public_ports만 엶"),
        {
            "open": Case(FAIL, Text("opened before the final REJECT, and the policy does not allow it",
                                    "마지막 REJECT보다 앞에서 열려 있지만 정책에서 허용하지 않음"),
                         Text("Allow it in stack_security.public_ports, or close it: ansible-playbook "
                              "site.yml -e security_preflight_harden=true",
                              "stack_security.public_ports에서 허용하거나 닫으세요: ansible-playbook "
                              "site.yml -e security_preflight_harden=true")),
            "saved": Case(FAIL, Text("the saved rules open it, and the policy does not allow it",
                                     "저장된 규칙에서 열리지만 정책에서 허용하지 않음"),
                          Text("Remove its line from the saved rules, or let the role override it: "
                               "ansible-playbook site.yml -e security_preflight_harden=true",
                               "저장된 규칙에서 해당 줄을 지우거나 역할이 덮어쓰게 하세요: ansible-playbook "
                               "site.yml -e security_preflight_harden=true")),
            "shut": Case(WARN, Text("the policy allows it and something listens, but the packet filter refuses it",
                                    "정책이 허용하고 듣는 프로그램도 있지만 패킷 필터가 막고 있음"), _HARDEN),
        }, _AS_ROOT, MEDIUM,
        Text("A port that was opened once for a trial waits for the next program that listens there.",
             "한 번 시험 삼아 연 포트는 다음에 그 포트를 쓰는 프로그램을 그대로 노출합니다.")),
    Rule(
        "host-metadata", Text("metadata address", "메타데이터 주소"),
        Text("containers do not reach the cloud's own addresses (169.254.0.0/16), but for its name server",
             "이름 서버를 제외하고 컨테이너가 클라우드 내부 주소(169.254.0.0/16)에 닿지 않음"),
        {
            "metadata": Case(FAIL, Text("containers on {networks} reach the metadata service",
                                        "{networks}의 컨테이너가 메타데이터 서비스에 닿음"), _HARDEN),
            "disk": Case(WARN, Text("containers on {networks} reach the boot disk's iSCSI address",
                                    "{networks}의 컨테이너가 부트 볼륨의 iSCSI 주소에 닿음"), _HARDEN),
        }, _AS_ROOT, HIGH,
        Text("The metadata service hands out the instance's identity and its start-up data to whoever asks. OCI's own "
             "rules "
             "guard it against the host's users only.",
             "메타데이터 서비스는 묻는 누구에게나 인스턴스의 자격과 초기 설정을 내줍니다. OCI 기본 규칙은 호스트 "
             "사용자만 막습니다.")),
    Rule(
        "host-sshd", Text("sshd", "sshd"),
        Text("keys alone, not for root by password, forwarding kept for the tunnel: as sshd -T says for everyone",
             "키로만 로그인, root 로그인 제한, 터널용 포워딩 유지(모든 사용자에 대해 sshd -T 기준)"),
        {
            "root": Case(FAIL, Text("root may log in ({keywords})", "root 로그인이 허용됨({keywords})"), _SSHD_EDIT),
            "passwords": Case(FAIL, Text("a password is enough for {users} ({keywords})",
                                         "{users}이(가) 비밀번호만으로 로그인할 수 있음({keywords})"), _SSHD_EDIT),
            "empty-passwords": Case(FAIL, Text("an empty password is accepted ({keywords})",
                                               "빈 비밀번호가 허용됨({keywords})"), _SSHD_EDIT),
            "hosts": Case(FAIL, Text("another machine's word is enough for {users} ({keywords})",
                                     "다른 호스트의 말만 믿고 {users} 로그인을 허용함({keywords})"), _SSHD_EDIT),
            "key-file": Case(FAIL, Text("someone other than {user} can write to it, and so log in as {user}",
                                        "{user} 외의 사용자가 쓸 수 있어 {user}(으)로 로그인할 수 있음"),
                             Text("sudo chown {user}: {subject} && sudo chmod go-w {subject}",
                                  "sudo chown {user}: {subject} && sudo chmod go-w {subject}")),
            "stale": Case(UNKNOWN, Text("{file} has changed since sshd read its files: what it obeys is not known",
                                        "sshd가 설정을 읽은 뒤 {file}이(가) 바뀌어, 실제로 적용된 설정을 알 수 없음"),
                          Text("Apply it, with this session kept open: sudo sshd -t && sudo systemctl reload ssh",
                               "지금 세션을 유지한 채 적용하세요: sudo sshd -t && sudo systemctl reload ssh")),
            "keys-off": Case(WARN, Text("keys are not accepted for {users} ({keywords})",
                                        "{users}의 키 로그인이 막혀 있음({keywords})"), _SSHD_EDIT),
            "tunnel": Case(WARN, Text("forwarding is off ({keywords}): the tunnel to the dashboards does not work",
                                      "포워딩이 꺼져 있어({keywords}) 대시보드 터널이 동작하지 않음"), _SSHD_EDIT),
            "environment": Case(WARN, Text("who logs in sets variables of the session ({keywords})",
                                           "로그인하는 사람이 세션 변수를 정할 수 있음({keywords})"), _SSHD_EDIT),
            "gateway": Case(WARN, Text("a forwarded port may be opened to the world ({keywords})",
                                       "포워딩한 포트를 외부에 열 수 있음({keywords})"), _SSHD_EDIT),
            "x11": Case(WARN, Text("X11 forwarding is on, and nothing here needs it ({keywords})",
                                   "필요 없는 X11 포워딩이 켜져 있음({keywords})"), _SSHD_EDIT),
        }, _AS_ROOT, HIGH,
        Text("SSH is the one door that is open to the world; passwords are guessed all day long. Cloud images bring "
             "drop-ins "
             "(50-cloud-init.conf) whose value wins over the main file's.",
             "SSH는 세상에 열린 유일한 문이고 비밀번호 대입 공격은 끊이지 않습니다. 클라우드 이미지의 드롭인"
             "(50-cloud-init.conf) 값이 기본 파일보다 우선합니다.")),
    Rule(
        "host-docker-tcp", Text("Docker API port", "Docker API 포트"),
        Text("the Engine listens on its Unix socket alone", "Engine이 유닉스 소켓에서만 들음"),
        {
            "open": Case(FAIL, Text("the Engine's API answers there to whoever asks", "누구나 Engine API를 쓸 수 있음"),
                         Text("Remove tcp:// from hosts in /etc/docker/daemon.json and from dockerd's and "
                              "docker.socket's "
                              "units, then: sudo systemctl restart docker; from elsewhere use docker --host ssh://",
                              "/etc/docker/daemon.json의 hosts, dockerd와 docker.socket 유닛에서 tcp://를 지우고 sudo "
                              "systemctl "
                              "restart docker 하세요. 원격에서는 docker --host ssh:// 를 쓰세요")),
            "verified": Case(WARN, Text("the Engine's API answers there to those with a certificate",
                                        "인증서가 있으면 Engine API를 쓸 수 있음"),
                             Text("Use docker --host ssh:// instead, and remove tcp:// from its hosts",
                                  "대신 docker --host ssh:// 를 쓰고 hosts에서 tcp://를 지우세요")),
        }, _AS_ROOT, CRITICAL,
        Text("Whoever reaches it is root on the host; on loopback that is every user, and every container in the "
             "host's "
             "network.",
             "접속할 수 있으면 곧 호스트의 root입니다. 루프백이라도 모든 사용자와 호스트 네트워크의 컨테이너가 접속할 "
             "수 있습니다.")),
    Rule(
        "host-docker-group", Text("docker group", "docker 그룹"),
        Text("none but the operator may use Docker without sudo", "운영자만 sudo 없이 Docker를 쓸 수 있음"),
        {
            "member": Case(FAIL, Text("is in the group {group}, which is as good as root",
                                      "{group} 그룹에 속해 root와 같은 권한이 있음"),
                           Text("sudo gpasswd --delete {subject} {group}, and end that user's sessions",
                                "sudo gpasswd --delete {subject} {group} 실행 후 그 사용자의 세션을 끝내세요")),
            "socket": Case(FAIL, Text("every user may write to it (mode {mode})",
                                      "모든 사용자가 쓸 수 있음(권한 {mode})"),
                           Text("sudo chmod 660 {subject}", "sudo chmod 660 {subject}")),
        }, _AS_ROOT, HIGH,
        Text("Who may talk to the Engine can mount the host's root directory into a container.",
             "Engine을 쓸 수 있으면 호스트의 루트 디렉터리를 컨테이너에 마운트할 수 있습니다.")),
    Rule(
        "host-reboot", Text("security updates", "보안 업데이트"),
        Text("they come by themselves, and none waits for a reboot", "자동으로 설치되고, 재부팅을 기다리는 것이 없음"),
        {
            "overdue": Case(FAIL, Text("{packages} have waited for a reboot for {days} days",
                                       "{packages}이(가) {days}일째 재부팅을 기다림"),
                            Text("Reboot: sudo systemctl reboot - the stack comes back by itself",
                                 "재부팅하세요: sudo systemctl reboot - 스택은 자동으로 다시 올라옵니다")),
            "pending": Case(WARN, Text("{packages} wait for a reboot", "{packages}이(가) 재부팅을 기다림"),
                            Text("Reboot when it suits: sudo systemctl reboot - the stack comes back by itself",
                                 "편한 때 재부팅하세요: sudo systemctl reboot - 스택은 자동으로 다시 올라옵니다")),
            "manual": Case(WARN, Text("security updates are not installed by themselves",
                                      "보안 업데이트가 자동으로 설치되지 않음"),
                           Text("sudo apt-get install unattended-upgrades, then deploy again, which switches them on: "
                                "ansible-playbook site.yml",
                                "sudo apt-get install unattended-upgrades 후 다시 배포하면 켜집니다: ansible-playbook "
                                "site.yml")),
        }, _AS_ROOT, MEDIUM,
        Text("An update that waits for a reboot has closed no hole yet.",
             "재부팅을 기다리는 업데이트는 아직 아무 취약점도 막지 못합니다.")),
)
