# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The rules for `.env`: what they expect, why, and all that they can say. A value is never part of it."""

from __future__ import annotations

from .findings import CRITICAL, FAIL, LOW, MEDIUM, WARN, Case, Rule, Text, table
from .preflight_env_values import PASSWORD_LENGTH, TOKEN_LENGTH

_QUOTE = Text("Put the whole value between single quotes", "값 전체를 작은따옴표로 감싸세요")
_NEW = Text("Put a new random value in, e.g. from `openssl rand -hex 24`, and change it where it is checked as well",
            "`openssl rand -hex 24` 등으로 만든 새 무작위 값을 넣고, 그 값을 확인하는 쪽도 함께 바꾸세요")
_ROTATE = Text("Replace every secret that was in it", "그 안에 있던 비밀값을 모두 새로 발급하세요")

RULES = table(
    Rule(
        "env-file", Text(".env file", ".env 파일"),
        Text("a regular file with at least one key", "키가 하나 이상 있는 일반 파일"),
        {
            "missing": Case(FAIL, Text("there is no such file", "파일이 없습니다"),
                            Text("Create {path}, or name the right file",
                                 "{path} 파일을 만들거나 올바른 파일을 지정하세요")),
            "kind": Case(FAIL, Text("not a regular file", "일반 파일이 아닙니다"),
                         Text("Remove what is at {path} and put the file there; Docker makes a directory where a "
                              "mounted file is missing",
                              "{path}에 있는 것을 지우고 파일을 두세요. 마운트할 파일이 없으면 Docker가 그 자리에 "
                              "디렉터리를 만듭니다")),
            "large": Case(FAIL, Text("larger than 1 MiB", "1 MiB보다 큽니다"),
                          Text("Look at what {path} is; a .env has a line a key",
                               "{path}가 무엇인지 확인하세요. .env는 키마다 한 줄입니다")),
            "empty": Case(FAIL, Text("no key in it", "키가 하나도 없습니다"),
                          Text("Write the keys into {path}, one KEY=value a line",
                               "{path}에 KEY=값을 한 줄에 하나씩 적으세요")),
        },
        unread_fix=Text("Run this as a user who may read the file", "이 파일을 읽을 수 있는 사용자로 실행하세요"),
        severity=CRITICAL,
        why=Text("Without it Compose puts empty strings where passwords belong.",
                 "이 파일이 없으면 Compose는 비밀번호 자리에 빈 문자열을 넣습니다.")),
    Rule(
        "env-syntax", Text("Syntax of .env", ".env 문법"),
        Text("every line is KEY=value, a comment or empty", "모든 줄이 KEY=값, 주석, 빈 줄 중 하나"),
        {
            "name": Case(FAIL, Text("a character that no name may have, before the =",
                                    "= 앞의 이름에 쓸 수 없는 문자가 있습니다"),
                         Text("Write KEY=value, or begin the line with # if it is a comment",
                              "KEY=값 형식으로 쓰거나, 주석이면 #으로 시작하세요")),
            "space": Case(FAIL, Text("a space inside the name", "이름 안에 공백이 있습니다"),
                          Text("Write KEY=value, or begin the line with # if it is a comment",
                               "KEY=값 형식으로 쓰거나, 주석이면 #으로 시작하세요")),
            "nameless": Case(FAIL, Text("no name, or no = after it", "이름이 없거나 이름 뒤에 =가 없습니다"),
                             Text("Write KEY=value, or remove the line", "KEY=값 형식으로 쓰거나 그 줄을 지우세요")),
            "quote": Case(FAIL, Text("a quote that is never closed", "닫히지 않은 따옴표가 있습니다"),
                          Text("Close the quote at the end of the value; a backslash before it takes its meaning away",
                               "값 끝에서 따옴표를 닫으세요. 따옴표 앞의 역슬래시는 따옴표를 글자로 만듭니다")),
            "template": Case(FAIL, Text("${{ without a valid name and a closing brace",
                                        "${{ 뒤에 올바른 이름과 닫는 중괄호가 없습니다"), _QUOTE),
            "needed": Case(FAIL, Text("${{NAME:?…}} demands a variable that has no value",
                                      "${{이름:?…}}이 요구하는 변수에 값이 없습니다"),
                           Text("Define that variable above this line", "그 변수를 이 줄보다 위에서 정의하세요")),
        },
        severity=CRITICAL,
        why=Text("Compose refuses the whole file for one bad line, and its message shows the line with the value.",
                 "한 줄만 잘못되어도 Compose는 파일 전체를 거부하고, 오류 메시지에 값까지 그대로 보여 줍니다.")),
    Rule(
        "env-encoding", Text("Characters of .env", ".env 문자"),
        Text("plain UTF-8 with line feeds", "LF 줄바꿈을 쓰는 UTF-8"),
        {
            "nul": Case(FAIL, Text("a NUL byte (UTF-16, or no text at all)",
                                   "NUL 바이트가 있습니다(UTF-16이거나 텍스트가 아님)"),
                        Text("Save {path} as UTF-8 without BOM", "{path}를 BOM 없는 UTF-8로 저장하세요")),
            "utf8": Case(FAIL, Text("bytes that are no UTF-8", "UTF-8이 아닌 바이트가 있습니다"),
                         Text("Save {path} as UTF-8 without BOM", "{path}를 BOM 없는 UTF-8로 저장하세요")),
            "return": Case(FAIL, Text("a carriage return inside a value", "값 안에 캐리지 리턴이 있습니다"),
                           Text("Turn the line ends into line feeds: sed -i 's/\\r/\\n/g' {path}",
                                "줄바꿈을 LF로 바꾸세요: sed -i 's/\\r/\\n/g' {path}")),
            "invisible": Case(FAIL, Text("an invisible character in the value, as pasting from a chat or a web page "
                                         "leaves",
                                         "값 안에 보이지 않는 문자가 있습니다(메신저나 웹에서 붙여 넣을 때 생김)"),
                              Text("Type the value anew, or paste it through a plain text editor",
                                   "값을 새로 입력하거나 일반 텍스트 편집기를 거쳐 붙여 넣으세요")),
            "crlf": Case(WARN, Text("Windows line ends (CRLF); Compose passes over them, shell scripts do not",
                                    "Windows 줄바꿈(CRLF)입니다. Compose는 무시하지만 셸 스크립트는 값에 포함합니다"),
                         Text("Turn them into line feeds: sed -i 's/\\r$//' {path}",
                              "LF로 바꾸세요: sed -i 's/\\r$//' {path}")),
            "bom": Case(WARN, Text("begins with a byte order mark; Compose passes over it, shell scripts do not",
                                   "파일이 BOM으로 시작합니다. Compose는 무시하지만 셸 스크립트는 첫 키의 일부로 "
                                   "읽습니다"),
                        Text("Save {path} as UTF-8 without BOM", "{path}를 BOM 없는 UTF-8로 저장하세요")),
        },
        severity=MEDIUM,
        why=Text("What is seen in an editor is not what the program gets.",
                 "편집기에 보이는 값과 프로그램이 받는 값이 달라집니다.")),
    Rule(
        "env-duplicate", Text("Keys given twice", "중복된 키"),
        Text("each key once", "키마다 한 번"),
        {
            "again": Case(WARN, Text("also on line {first}, which does not count: the last one wins",
                                     "{first}번째 줄에도 있지만 무시됩니다. 마지막 값이 쓰입니다"),
                          Text("Remove line {first}", "{first}번째 줄을 지우세요")),
        },
        severity=LOW,
        why=Text("Who changes the one that does not count changes nothing.",
                 "무시되는 줄을 고치면 아무것도 바뀌지 않습니다.")),
    Rule(
        "env-required", Text("Required key", "필수 키"),
        Text("present, with a value", "값이 있음"),
        {
            "missing": Case(FAIL, Text("missing", "없습니다"),
                            Text("Add the line {subject}=… to {path}", "{path}에 {subject}=… 줄을 추가하세요")),
            "empty": Case(FAIL, Text("empty", "비어 있습니다"),
                          Text("Give {subject} a value in {path}", "{path}에서 {subject}에 값을 넣으세요")),
            "inherited": Case(FAIL, Text("has no =, so that its value would come from the shell of whoever runs "
                                         "Compose",
                                         "=가 없어서 Compose를 실행하는 셸의 값이 쓰입니다"),
                              Text("Write {subject}=value in {path}", "{path}에 {subject}=값으로 적으세요")),
        },
        severity=CRITICAL,
        why=Text("Compose puts an empty string where a key is missing: a database without a password, a check that "
                 "lets everybody through.",
                 "키가 없으면 Compose는 빈 문자열을 넣습니다. 비밀번호 없는 데이터베이스, 누구나 통과하는 검사가 "
                 "됩니다.")),
    Rule(
        "env-placeholder", Text("Placeholder", "예시 값"),
        Text("a real value", "실제 값"),
        {
            "placeholder": Case(FAIL, Text("still a placeholder or an example", "아직 예시 값입니다"), _NEW),
            "setting": Case(FAIL, Text("still a placeholder", "아직 예시 값입니다"),
                            Text("Put the real value in, or remove the line", "실제 값을 넣거나 그 줄을 지우세요")),
        },
        severity=CRITICAL,
        why=Text("Values of examples are public: everybody tries them first.",
                 "예시 값은 공개되어 있어 누구나 먼저 시도합니다.")),
    Rule(
        "env-weak", Text("Weak secret", "약한 비밀값"),
        Text("a password of at least %d, a token or key of at least %d characters that cannot be guessed"
             % (PASSWORD_LENGTH, TOKEN_LENGTH),
             "추측할 수 없는 비밀번호 %d자 이상, 토큰·키 %d자 이상" % (PASSWORD_LENGTH, TOKEN_LENGTH)),
        {
            "short": Case(FAIL, Text("shorter than {minimum} characters", "{minimum}자보다 짧습니다"), _NEW),
            "common": Case(FAIL, Text("one of the passwords that everybody tries first",
                                      "누구나 먼저 시도하는 흔한 비밀번호입니다"), _NEW),
            "repeated": Case(FAIL, Text("made of few characters that repeat", "적은 종류의 문자가 반복됩니다"), _NEW),
            "digits": Case(FAIL, Text("digits only: a date, a telephone number or a counter",
                                      "숫자뿐입니다(날짜, 전화번호, 일련번호)"), _NEW),
            "sequence": Case(FAIL, Text("little more than a sequence of digits, letters or keys",
                                        "숫자·알파벳·자판 순서와 크게 다르지 않습니다"), _NEW),
            "words": Case(FAIL, Text("little more than well-known words, years and repetitions",
                                     "흔한 단어, 연도, 반복과 크게 다르지 않습니다"), _NEW),
            "named": Case(FAIL, Text("little more than the name of the user, the key or the stack",
                                     "사용자, 키, 스택의 이름과 크게 다르지 않습니다"), _NEW),
            "url": Case(FAIL, Text("the password in this URL is a placeholder or too easy to guess",
                                   "이 URL 안의 비밀번호가 예시 값이거나 추측하기 쉽습니다"), _NEW),
        },
        why=Text("It is found by trying, and nothing here would notice the attempts.",
                 "대입 시도로 알아낼 수 있고, 그 시도를 알아챌 방법이 없습니다.")),
    Rule(
        "env-reused", Text("Reused secret", "재사용된 비밀값"),
        Text("each secret has its own value", "비밀값마다 다른 값"),
        {
            "reused": Case(FAIL, Text("same value as {other}", "{other}와 값이 같습니다"),
                           Text("Give each its own random value; if it must be the same secret, write "
                                "{subject}=${{{other}}}",
                                "각각 다른 무작위 값을 넣으세요. 같은 비밀값이어야 하면 {subject}=${{{other}}}로 "
                                "적으세요")),
        },
        severity=MEDIUM,
        why=Text("Who learns one has the other as well.", "하나를 알면 나머지도 알게 됩니다.")),
    Rule(
        "env-user-password", Text("User and password", "사용자와 비밀번호"),
        Text("different", "서로 다름"),
        {
            "same": Case(FAIL, Text("the password is the user name of {other}",
                                    "비밀번호가 {other}의 사용자 이름과 같습니다"), _NEW),
            "url": Case(FAIL, Text("user and password in this URL are the same",
                                   "이 URL의 사용자와 비밀번호가 같습니다"), _NEW),
        },
        severity=CRITICAL,
        why=Text("It is the first thing that is tried.", "가장 먼저 시도되는 조합입니다.")),
    Rule(
        "env-truncated", Text("Value read differently", "다르게 읽히는 값"),
        Text("Compose reads what is written", "적힌 대로 읽힘"),
        {
            "comment": Case(FAIL, Text("cut off at ` #`: what follows is a comment for Compose",
                                       "` #`에서 잘립니다. Compose는 그 뒤를 주석으로 읽습니다"), _QUOTE),
            "comment-value": Case(FAIL, Text("Compose takes the comment for the value, as there is nothing before it",
                                             "앞에 값이 없어서 Compose는 주석을 값으로 읽습니다"),
                                  Text("Move the comment to a line of its own", "주석을 따로 한 줄에 적으세요")),
            "unset": Case(FAIL, Text("$ begins the name of a variable that is not set, and an empty string takes its "
                                     "place",
                                     "$ 뒤가 변수 이름으로 읽히는데, 그 변수가 없어 빈 문자열로 바뀝니다"), _QUOTE),
            "variable": Case(FAIL, Text("$ begins the name of a variable, whose value takes its place",
                                        "$ 뒤가 변수 이름으로 읽혀 그 변수의 값으로 바뀝니다"), _QUOTE),
            "doubled": Case(FAIL, Text("Compose reads $$ as one $", "Compose는 $$를 $ 하나로 읽습니다"),
                            Text("Put the value between single quotes, with as many $ as it really has",
                                 "실제 값의 $ 개수 그대로 작은따옴표 안에 적으세요")),
            "escape": Case(FAIL, Text("a backslash in double quotes makes a control character of the letter behind it",
                                      "큰따옴표 안의 역슬래시가 뒤 글자를 제어 문자로 바꿉니다"), _QUOTE),
            "after-quote": Case(FAIL, Text("the value ends at its closing quote; what follows on the line is not part "
                                           "of it",
                                           "값은 닫는 따옴표에서 끝나고, 그 뒤는 값에 들어가지 않습니다"), _QUOTE),
            "swallowed": Case(FAIL, Text("the quotes close lines later, so that further keys became part of this "
                                         "value",
                                         "따옴표가 뒤쪽 줄에서 닫혀 다른 키까지 이 값에 들어갔습니다"),
                              Text("Close the quote on line {line}", "{line}번째 줄에서 따옴표를 닫으세요")),
            "typographic": Case(FAIL, Text("typographic quotes, which are part of the value for Compose",
                                           "둥근 따옴표는 Compose에서 값의 일부가 됩니다"), _QUOTE),
        },
        why=Text("The password in use is another than the one written down, often a much shorter one.",
                 "실제 쓰이는 비밀번호가 적어 둔 값과 다르고, 훨씬 짧은 경우가 많습니다.")),
    Rule(
        "env-url", Text("Secret in a URL", "URL에 들어간 비밀값"),
        Text("percent-encoded where it becomes part of a URL", "URL에 넣을 때 퍼센트 인코딩"),
        {
            "spliced": Case(FAIL, Text("has characters that end or change the URL it is put into ({where})",
                                       "값을 끼워 넣은 URL({where})을 끊거나 바꾸는 문자가 있습니다"),
                            Text("Use letters, digits, - and _ only, or put a percent-encoded twin of the value into "
                                 "the URL",
                                 "영문, 숫자, -, _만 쓰거나 퍼센트 인코딩한 값을 URL에 넣으세요")),
            "broken": Case(FAIL, Text("the user or password in this URL holds characters that must be percent-encoded",
                                      "이 URL의 사용자나 비밀번호에 퍼센트 인코딩해야 할 문자가 있습니다"),
                           Text("Percent-encode them: @ is %40, : is %3A, / is %2F, # is %23, % is %25",
                                "퍼센트 인코딩하세요: @는 %40, :는 %3A, /는 %2F, #은 %23, %는 %25")),
            "twin": Case(FAIL, Text("is not the percent-encoded value of {other}",
                                    "{other}를 퍼센트 인코딩한 값이 아닙니다"),
                         Text("Encode {other} anew, or let the playbook write the file",
                              "{other}를 다시 인코딩하거나 플레이북으로 파일을 쓰세요")),
        },
        severity=MEDIUM,
        why=Text("The program connects to another host or with a cut password, or not at all.",
                 "다른 호스트로 접속하거나, 잘린 비밀번호를 쓰거나, 아예 접속하지 못합니다.")),
    Rule(
        "env-shell", Text("Variable of the shell", "셸 변수"),
        Text("the file alone decides", "파일의 값만 쓰임"),
        {
            "secret": Case(FAIL, Text("the shell has another value, which goes before the file's",
                                      "셸에 다른 값이 있고 파일보다 우선합니다"),
                           Text("unset {subject}, and remove it from ~/.profile, ~/.bashrc and /etc/environment",
                                "unset {subject}을 실행하고 ~/.profile, ~/.bashrc, /etc/environment에서 지우세요")),
            "setting": Case(WARN, Text("the shell has another value, which goes before the file's",
                                       "셸에 다른 값이 있고 파일보다 우선합니다"),
                            Text("unset {subject}, and remove it from ~/.profile, ~/.bashrc and /etc/environment",
                                 "unset {subject}을 실행하고 ~/.profile, ~/.bashrc, /etc/environment에서 지우세요")),
            "inherited": Case(FAIL, Text("has no =, so that its value comes from the shell of whoever runs Compose",
                                         "=가 없어서 Compose를 실행하는 셸의 값이 쓰입니다"),
                              Text("Write KEY=value, or remove the line", "KEY=값으로 적거나 그 줄을 지우세요")),
            "inherited-setting": Case(WARN, Text("has no =, so that its value comes from the shell of whoever runs "
                                                 "Compose",
                                                 "=가 없어서 Compose를 실행하는 셸의 값이 쓰입니다"),
                                      Text("Write KEY=value, or remove the line",
                                           "KEY=값으로 적거나 그 줄을 지우세요")),
        },
        why=Text("What goes up is not what stands in the file, and differs from one login to the next.",
                 "파일에 적힌 것과 다른 값으로 올라가고, 로그인할 때마다 달라질 수 있습니다.")),
    Rule(
        "env-compose", Text("Setting of Compose in .env", ".env의 Compose 설정"),
        Text("nothing that makes Compose take another project, file or engine",
             "프로젝트, 파일, 엔진을 바꾸는 설정 없음"),
        {
            "project": Case(FAIL, Text("names another project than {project}: Compose would attach new, empty volumes",
                                       "{project}가 아닌 다른 프로젝트 이름입니다. Compose가 비어 있는 새 볼륨을 "
                                       "연결합니다"),
                            Text("Remove {subject} from {path}", "{path}에서 {subject}을 지우세요")),
            "engine": Case(FAIL, Text("sends Docker's commands to another engine, without encryption",
                                      "Docker 명령을 암호화 없이 다른 엔진으로 보냅니다"),
                           Text("Remove {subject} from {path}", "{path}에서 {subject}을 지우세요")),
            "steers": Case(WARN, Text("changes what a plain `docker compose` does; what was judged here may be "
                                      "something else",
                                      "`docker compose`의 동작을 바꿉니다. 여기서 점검한 것과 다를 수 있습니다"),
                           Text("Remove {subject} from {path} and give it on the command line",
                                "{path}에서 {subject}을 지우고 명령에 직접 적으세요")),
        },
        why=Text("A file of values then decides what is started, and where: the classic way to find all data gone.",
                 "값을 담는 파일이 무엇을 어디서 시작할지 정하게 됩니다. 데이터가 사라진 것처럼 보이는 대표적인 "
                 "원인입니다.")),
    Rule(
        "env-mode", Text("Mode of .env", ".env 권한"),
        Text("0600 or 0400", "0600 또는 0400"),
        {
            "mode": Case(FAIL, Text("mode {mode}", "권한이 {mode}입니다"),
                         Text("chmod 600 {path}", "chmod 600 {path}")),
            "acl": Case(FAIL, Text("mode {mode}, and an access control list lets others in",
                                   "권한이 {mode}이고 ACL로 다른 사용자도 접근할 수 있습니다"),
                        Text("setfacl -b {path} && chmod 600 {path}", "setfacl -b {path} && chmod 600 {path}")),
        },
        why=Text("Every other program and user on the host can read the secrets, or nobody can change them.",
                 "호스트의 다른 프로그램과 사용자가 비밀값을 읽을 수 있습니다.")),
    Rule(
        "env-owner", Text("Owner of .env", ".env 소유자"),
        Text("root, or who runs the stack", "root 또는 스택을 운영하는 사용자"),
        {
            "other": Case(FAIL, Text("belongs to {owner}", "{owner} 소유입니다"),
                          Text("sudo chown {wanted} {path}", "sudo chown {wanted} {path}")),
        },
        why=Text("The owner can read and change it at will.", "소유자는 마음대로 읽고 바꿀 수 있습니다.")),
    Rule(
        "env-parent", Text("Directory of .env", ".env 디렉터리"),
        Text("only its owner can write to it", "소유자만 쓸 수 있음"),
        {
            "writable": Case(FAIL, Text("mode {mode}: others than its owner can write to it",
                                        "권한이 {mode}라서 소유자가 아니어도 쓸 수 있습니다"),
                             Text("chmod go-w {subject}", "chmod go-w {subject}")),
            "sticky": Case(FAIL, Text("mode {mode}: shared by all users", "권한이 {mode}인 공용 디렉터리입니다"),
                           Text("Move the file to a directory of its own", "파일을 전용 디렉터리로 옮기세요")),
            "owner": Case(FAIL, Text("belongs to {owner}", "{owner} 소유입니다"),
                          Text("sudo chown {wanted} {subject}", "sudo chown {wanted} {subject}")),
        },
        why=Text("Who can write to a directory can replace the files in it, whatever their mode.",
                 "디렉터리에 쓸 수 있으면 파일 권한과 관계없이 파일을 바꿔치기할 수 있습니다.")),
    Rule(
        "env-symlink", Text("Symbolic link", "심볼릭 링크"),
        Text("the file itself", "링크가 아닌 파일"),
        {
            "file": Case(FAIL, Text("is a symbolic link", "심볼릭 링크입니다"),
                         Text("Put the file itself there; checks, copies and `chmod` act on what a link points to",
                              "파일을 직접 두세요. 점검, 복사, chmod는 링크가 가리키는 대상에 적용됩니다")),
            "directory": Case(FAIL, Text("is a symbolic link of {owner}, who can turn it to another place",
                                         "{owner} 소유의 심볼릭 링크라서 그 사용자가 다른 곳을 가리키게 할 수 "
                                         "있습니다"),
                              Text("Replace the link by a directory, or give it to root: sudo chown -h root {subject}",
                                   "링크를 디렉터리로 바꾸거나 root 소유로 바꾸세요: sudo chown -h root {subject}")),
        },
        severity=MEDIUM,
        why=Text("What is judged is not what is used once somebody turns the link.",
                 "링크를 바꾸면 점검한 파일과 실제 쓰이는 파일이 달라집니다.")),
    Rule(
        "env-copy", Text("Copy of .env", ".env 사본"),
        Text("no copy of the secrets beside it", "옆에 비밀값 사본 없음"),
        {
            "copy": Case(FAIL, Text("lies beside it and holds secrets", "옆에 있으며 비밀값이 들어 있습니다"),
                         Text("Remove it, or move it into the vault: shred -u {copy}",
                              "지우거나 금고로 옮기세요: shred -u {copy}")),
            "example": Case(FAIL, Text("an example that holds a secret in use",
                                       "예시 파일인데 실제 쓰는 비밀값이 들어 있습니다"), _ROTATE),
        },
        unread_fix=Text("Run this as a user who may read the directory and the files in it",
                        "이 디렉터리와 파일을 읽을 수 있는 사용자로 실행하세요"),
        severity=MEDIUM,
        why=Text("Copies keep old modes, go into archives and repositories, and are forgotten when a secret is "
                 "replaced.",
                 "사본은 예전 권한 그대로 남고, 압축 파일이나 저장소에 섞여 들어가며, 비밀값을 교체할 때 잊힙니다.")),
    Rule(
        "env-tracked", Text("Git and .env", "Git과 .env"),
        Text("unknown to Git, and ignored by it", "Git이 추적하지 않고 무시함"),
        {
            "tracked": Case(FAIL, Text("tracked by Git in {root}", "{root}의 Git이 추적하고 있습니다"),
                            Text("git rm --cached it, add it to .gitignore, and replace every secret in it",
                                 "git rm --cached로 빼고 .gitignore에 넣은 뒤, 안의 비밀값을 모두 새로 발급하세요")),
            "committed": Case(FAIL, Text("was once committed in {root}; its history still has it",
                                         "{root}에 커밋된 적이 있고 이력에 남아 있습니다"),
                              Text("Replace every secret that was in it, then remove it from the history with git "
                                   "filter-repo",
                                   "그 안의 비밀값을 모두 새로 발급한 뒤 git filter-repo로 이력에서 지우세요")),
            "exposed": Case(WARN, Text("not ignored by Git in {root}: the next `git add .` takes it",
                                       "{root}의 Git이 무시하지 않아 다음 `git add .`에 들어갑니다"),
                            Text("Add it to .gitignore", ".gitignore에 넣으세요")),
        },
        unread_fix=Text("Install git, or run this as the owner of the repository",
                        "git을 설치하거나 저장소 소유자로 실행하세요"),
        severity=CRITICAL,
        why=Text("What is in a repository is on every machine that has a clone, for ever.",
                 "저장소에 들어간 값은 복제한 모든 컴퓨터에 계속 남습니다.")),
)
