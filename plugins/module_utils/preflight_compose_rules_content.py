# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What ``preflight_compose`` can say of images, secrets and the programs that services run."""

from __future__ import annotations

from .findings import CRITICAL, FAIL, HIGH, MEDIUM, WARN, Case, Rule, Text

_TAG = Text("Name a version (name:1.2.3) or a digest (name@sha256:...)",
            "버전(name:1.2.3)이나 다이제스트(name@sha256:...)를 적으세요")
_TO_ENV = Text("Write ${{NAME}} in its place, without a default, and put the value into .env; then change the secret",
               "그 자리에 기본값 없는 ${{NAME}}을 쓰고 값은 .env에 넣은 뒤, 노출된 비밀은 새로 바꾸세요")

IMAGE_UNPINNED = Rule(
    "compose-image-unpinned", Text("image version", "이미지 버전"),
    Text("a version or a digest, unless it is built here", "버전 또는 다이제스트. 여기서 빌드하면 예외"),
    {
        "untagged": Case(FAIL, Text("{image} names no version", "{image}에 버전이 없습니다"), _TAG),
        "moving": Case(FAIL, Text("the tag of {image} names no version: it moves",
                                  "{image}의 태그는 버전이 아니어서 내용이 바뀝니다"), _TAG),
        "broken": Case(
            FAIL, Text("{image} is no image: a variable in it is empty",
                       "{image}은(는) 이미지 이름이 아닙니다. 변수가 비었습니다"),
            Text("Set the variable in .env, or write the version", ".env에 변수를 넣거나 버전을 직접 적으세요")),
        "major": Case(WARN, Text("{image} names a major version only", "{image}에는 메이저 버전만 있습니다"),
                      Text("Name a full version, e.g. 7.4.2", "7.4.2처럼 전체 버전을 적으세요")),
    },
    severity=MEDIUM,
    why=Text("A tag that moves brings another program at the next pull: untested, and possibly somebody else's.",
             "움직이는 태그는 다음 pull 때 다른 프로그램을 가져옵니다. 시험하지 않은 것이고, 남의 것일 수도 있습니다."))

SECRET_LITERAL = Rule(
    "compose-secret-literal", Text("secret in the file", "파일에 적힌 비밀"),
    Text("secrets come from .env or from files, without a default", "비밀은 기본값 없이 .env나 파일에서 옴"),
    {
        "literal": Case(FAIL, Text("the value of {key} is written in the file", "{key}의 값이 파일에 적혀 있습니다"),
                        _TO_ENV),
        "default": Case(
            FAIL, Text("{key} has a default written in the file", "{key}의 기본값이 파일에 적혀 있습니다"),
            Text("Write ${{NAME:?}} in place of ${{NAME:-...}}, and put the value into .env; then change the secret",
                 "${{NAME:-...}} 대신 ${{NAME:?}}를 쓰고 값은 .env에 넣은 뒤, 노출된 비밀은 새로 바꾸세요")),
        "address": Case(
            FAIL, Text("the address in {key} has its password written in it",
                       "{key}의 주소에 비밀번호가 적혀 있습니다"),
            _TO_ENV),
        "token": Case(FAIL, Text("{key} has {kind} written in it", "{key}에 {kind}이(가) 적혀 있습니다"), _TO_ENV),
    },
    Text("Upgrade Docker Compose, which then shows the file with its variables: docker compose version",
         "Docker Compose를 업그레이드하면 변수를 그대로 볼 수 있습니다: docker compose version"),
    severity=CRITICAL,
    why=Text("The file is in the repository, in backups and in every copy; a default is the secret of everyone who "
             "forgot to set one.",
             "이 파일은 저장소와 백업, 모든 사본에 있습니다. 기본값은 값을 빠뜨린 모든 사람이 쓰는 비밀이 됩니다."))

DATABASE_TRUST = Rule(
    "compose-database-trust", Text("database access", "데이터베이스 접근"),
    Text("every database asks for a password of its own", "모든 데이터베이스가 비밀번호를 요구함"),
    {
        "trust": Case(
            FAIL, Text("{setting} lets everyone in without a password",
                       "{setting} 때문에 비밀번호 없이 누구나 들어옵니다"),
            Text("Remove it, and set a password from .env", "지우고 .env에서 비밀번호를 넣으세요")),
        "none": Case(
            FAIL, Text("{key} is not set or empty", "{key}이(가) 없거나 비어 있습니다"),
            Text("Set {key} from .env", ".env의 값으로 {key}을(를) 설정하세요")),
        "known": Case(
            FAIL, Text("{key} is the one that everyone knows", "{key}이(가) 누구나 아는 기본값입니다"),
            Text("Set {key} from .env", ".env의 값으로 {key}을(를) 설정하세요")),
        "absent": Case(
            WARN, Text("{key} is not given: with an empty volume the image refuses to start",
                       "{key}이(가) 없습니다. 빈 볼륨이면 이미지가 시작을 거부합니다"),
            Text("Set {key} from .env", ".env의 값으로 {key}을(를) 설정하세요")),
    },
    severity=CRITICAL,
    why=Text("Any container of the network, and whoever takes one over, then reads and changes all data.",
             "같은 네트워크의 컨테이너 하나만 장악해도 모든 데이터를 읽고 바꿀 수 있습니다."))

DASHBOARD_ANONYMOUS = Rule(
    "compose-dashboard-anonymous", Text("dashboard access", "대시보드 접근"),
    Text("every dashboard asks who is there, with a password of its own",
         "모든 대시보드가 로그인을 요구하고 기본 비밀번호가 아님"),
    {
        "open": Case(
            FAIL, Text("{setting} opens it to everyone", "{setting} 때문에 누구에게나 열립니다"),
            Text("Remove it", "지우세요")),
        "none": Case(
            FAIL, Text("{key} is not set or empty, so that the login is the one that everyone knows, or none",
                       "{key}이(가) 없거나 비어 있어 누구나 아는 기본 로그인이거나 로그인이 없습니다"),
            Text("Set {key} from .env", ".env의 값으로 {key}을(를) 설정하세요")),
        "known": Case(
            FAIL, Text("{key} is the one that everyone knows", "{key}이(가) 누구나 아는 기본값입니다"),
            Text("Set {key} from .env", ".env의 값으로 {key}을(를) 설정하세요")),
        "elsewhere": Case(
            WARN, Text("{key} is not set; a configuration file is mounted that may set it",
                       "{key}이(가) 없습니다. 마운트한 설정 파일에 있을 수 있습니다"),
            Text("Set {key} from .env, so that it can be seen",
                 "확인할 수 있도록 .env의 값으로 {key}을(를) 설정하세요")),
        "remote-control": Case(
            WARN, Text("{setting} lets everyone who reaches it reload or stop it",
                       "{setting} 때문에 닿을 수 있는 누구나 다시 읽게 하거나 멈출 수 있습니다"),
            Text("Remove it unless it is used; the same is done by a signal: docker exec NAME kill -HUP 1",
                 "쓰지 않으면 지우세요. 같은 일은 신호로 할 수 있습니다: docker exec 이름 kill -HUP 1")),
    },
    severity=HIGH,
    why=Text("Dashboards show positions, queries and settings, and many of them can change or run things.",
             "대시보드는 포지션과 쿼리, 설정을 보여 주며, 바꾸거나 실행하는 기능도 많습니다."))

N8N_SETTING = Rule(
    "compose-n8n-setting", Text("n8n settings", "n8n 설정"),
    Text("on the n8n service, N8N_BLOCK_ENV_ACCESS_IN_NODE: 'true' in exactly this spelling, and nothing that "
         "undoes it",
         "n8n 서비스에 정확히 N8N_BLOCK_ENV_ACCESS_IN_NODE: 'true'가 있고, 이를 무력화하는 설정이 없음"),
    {
        "unblocked": Case(
            FAIL, Text("{key} is not set: workflows read every variable of the container",
                       "{key}이(가) 없어 워크플로가 컨테이너의 모든 환경 변수를 읽습니다"),
            Text("Set {key}: 'true' on this service", "이 서비스에 {key}: 'true'를 설정하세요")),
        "spelling": Case(
            FAIL, Text("{key} is not exactly 'true': this version of n8n takes it for false",
                       "{key}이(가) 정확히 'true'가 아니어서 이 버전의 n8n은 false로 봅니다"),
            Text("Write {key}: 'true', in lower case and in quotes",
                 "소문자로 따옴표를 붙여 {key}: 'true'로 적으세요")),
        "off": Case(
            FAIL, Text("{key} is off: workflows read every variable of the container",
                       "{key}이(가) 꺼져 있어 워크플로가 컨테이너의 모든 환경 변수를 읽습니다"),
            Text("Set {key}: 'true'", "{key}: 'true'로 설정하세요")),
        "misplaced": Case(
            WARN, Text("{key} does nothing here: this service is not n8n",
                       "n8n 서비스가 아니어서 {key}은(는) 효과가 없습니다"),
            Text("Move {key} to the n8n service", "{key}을(를) n8n 서비스로 옮기세요")),
        "weakens": Case(
            FAIL, Text("{setting} undoes n8n's protection", "{setting}이(가) n8n의 보호를 무력화합니다"),
            Text("Remove it", "지우세요")),
        "no-effect": Case(
            WARN, Text("{key} protects nothing: n8n 1.0 removed it",
                       "{key}은(는) n8n 1.0에서 없어져 아무것도 보호하지 않습니다"),
            Text("Remove it, and rely on the owner account", "지우고 소유자 계정 로그인으로 보호하세요")),
        "command-node": Case(
            WARN, Text("{key} lets workflows run commands in the container",
                       "{key} 설정으로 워크플로가 컨테이너에서 명령을 실행할 수 있습니다"),
            Text("Keep n8n-nodes-base.executeCommand in {key}", "{key}에 n8n-nodes-base.executeCommand를 남기세요")),
    },
    severity=HIGH,
    why=Text("A workflow, also an imported one, reads with $env whatever n8n was given: database password, encryption "
             "key, webhook secret.",
             "가져온 워크플로라도 $env로 n8n에 준 값을 모두 읽습니다. DB 비밀번호, 암호화 키, webhook secret 등."))

CONTENT = (IMAGE_UNPINNED, SECRET_LITERAL, DATABASE_TRUST, DASHBOARD_ANONYMOUS, N8N_SETTING)
