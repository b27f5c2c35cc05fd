# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the verification of backups can say. Every case has a name of its own: it is an entry's ``problem``."""

from __future__ import annotations

from .findings import FAIL, PASS, WARN, Case, Rule, Text, table

_NEW_BACKUP = Text("Do not restore it. Take a new one now: sudo coinpilot-ops backup {target}; then look for errors of "
                   "the disk: sudo dmesg --level=err,warn",
                   "이 파일로 복구하지 마세요. 지금 새로 백업하고(sudo coinpilot-ops backup {target}) "
                   "디스크 오류를 확인하세요: sudo dmesg --level=err,warn")
# Into the directory goes root alone; both may have blanks in their names.
_WRITE = """sudo sh -c 'umask 077; cd "$1" && sha256sum "$2" > "$2".sha256' - {directory} {name}"""
WRITE_SIDECAR = Text("The manifest proves the file; write its sidecar again: " + _WRITE,
                     "파일은 manifest로 확인되었습니다. 체크섬 파일을 다시 만드세요: " + _WRITE)
UNPROVEN = Text("Nothing proves this file. Take a new backup: sudo coinpilot-ops backup {target}; then move this one "
                "out of the backup directory",
                "이 파일을 확인할 방법이 없습니다. 새로 백업한 뒤(sudo coinpilot-ops backup {target}) "
                "이 파일을 백업 디렉터리 밖으로 옮기세요")
_MOVE_OUT = Text("Find out who put it there, and move it out of the backup directory",
                 "누가 두었는지 확인하고 백업 디렉터리 밖으로 옮기세요")
_MANIFEST_FIX = Text("This backup cannot be restored without it. Take a new one: sudo coinpilot-ops backup {target}; "
                     "or copy the manifest back from another place",
                     "manifest 없이는 복구할 수 없습니다. 새로 백업하거나(sudo coinpilot-ops backup {target}) "
                     "다른 곳의 사본에서 manifest를 가져오세요")
_UNREAD_FIX = Text("Run it as root (sudo) and check again; if it stays so, look for errors of the disk: "
                   "sudo dmesg --level=err,warn",
                   "root 권한(sudo)으로 다시 점검하세요. 계속되면 디스크 오류를 확인하세요: "
                   "sudo dmesg --level=err,warn")

# Who said what the SHA-256 should be.
BY_SIDECAR, BY_MANIFEST = Text("sidecar", "체크섬 파일"), Text("manifest", "manifest")

RULES = table(
    Rule("backup-root", Text("backup directory", "백업 디렉터리"),
         Text("a backup root, and names of what is in it", "백업 루트 디렉터리와 그 안에 있는 이름"), {
        "no-root": Case(FAIL, Text("{path} is no directory", "{path} 디렉터리가 없습니다"),
                        Text("Give the directory that holds <target>/daily",
                             "<target>/daily가 들어 있는 디렉터리를 지정하세요")),
        "not-a-root": Case(FAIL, Text("{path} is not a backup root: nothing in it has daily, weekly or safety",
                                      "{path}는 백업 루트가 아닙니다. 안에 daily, weekly, safety가 없습니다"),
                           Text("Give the directory that holds <target>/daily; without any backup yet, take one: "
                                "sudo coinpilot-ops backup",
                                "<target>/daily가 들어 있는 디렉터리를 지정하세요. 아직 백업이 없다면 먼저 "
                                "백업하세요: sudo coinpilot-ops backup")),
        "bad-target": Case(FAIL, Text("'{name}' is no name of a target", "'{name}'은(는) 백업 대상의 이름이 아닙니다"),
                           Text("Give one of: {known}", "다음 중 하나를 지정하세요: {known}")),
        "unknown-target": Case(FAIL, Text("there are no backups of '{name}'", "'{name}'의 백업이 없습니다"),
                               Text("Give one of: {known}", "다음 중 하나를 지정하세요: {known}")),
        "bad-name": Case(FAIL, Text("'{name}' is no name of a file or backup: it holds a path",
                                    "'{name}'은(는) 파일이나 백업의 이름이 아닙니다. 경로가 들어 있습니다"),
                         Text("Give the name alone, as it stands in daily, weekly or safety",
                              "daily, weekly, safety에 있는 이름만 쓰세요")),
        "unknown-name": Case(FAIL, Text("there is no file or backup '{name}'", "'{name}' 파일이나 백업이 없습니다"),
                             Text("See what is there: sudo ls -R {path}", "있는 것을 확인하세요: sudo ls -R {path}")),
    }, _UNREAD_FIX),
    Rule("backup-target", Text("backups", "백업"),
         Text("every file as it was written", "모든 파일이 처음 기록된 그대로임"), {
        "good": Case(PASS, Text("{good} of {files} files are as they were written ({size})",
                                "파일 {files}개 중 {good}개가 기록된 그대로임({size})")),
        "none": Case(WARN, Text("there is none yet", "아직 하나도 없음"),
                     Text("Take one: sudo coinpilot-ops backup {subject}",
                          "백업하세요: sudo coinpilot-ops backup {subject}")),
    }, _UNREAD_FIX),
    Rule("backup-file", Text("backup file", "백업 파일"),
         Text("there, and byte for byte what was written", "파일이 있고, 기록된 내용과 바이트 단위로 같음"), {
        "altered": Case(FAIL, Text("altered: its SHA-256 is {actual}…, its {by} says {wanted}…",
                                   "내용이 바뀌었음: SHA-256이 {actual}…인데 {by}에는 {wanted}…로 되어 있음"),
                        _NEW_BACKUP),
        "truncated": Case(FAIL, Text("truncated: {size} of {wanted} bytes",
                                     "잘렸음: {wanted}바이트 중 {size}바이트만 있음"), _NEW_BACKUP),
        "longer": Case(FAIL, Text("longer than it was written: {size} bytes, not {wanted}",
                                  "기록된 것보다 김: {wanted}바이트가 아니라 {size}바이트"), _NEW_BACKUP),
        "empty": Case(FAIL, Text("empty (0 bytes)", "비어 있음(0바이트)"), _NEW_BACKUP),
        "missing": Case(FAIL, Text("missing: its manifest names it", "없음: manifest에는 이름이 있음"), _NEW_BACKUP),
        "orphaned-sidecar": Case(FAIL, Text("missing: only its sidecar is there", "없음: 체크섬 파일만 남아 있음"),
                                 Text("Copy the file back from another place, or delete the sidecar: "
                                      "sudo rm {path}.sha256",
                                      "다른 곳의 사본에서 파일을 가져오거나 체크섬 파일을 지우세요: "
                                      "sudo rm {path}.sha256")),
        "symlink": Case(FAIL, Text("a symbolic link, which is not followed", "심볼릭 링크임(따라가지 않음)"),
                        _MOVE_OUT),
        "special": Case(FAIL, Text("not a regular file, and not read", "일반 파일이 아님(읽지 않음)"), _MOVE_OUT),
        "unlisted": Case(WARN, Text("its backup's manifest does not name it", "백업의 manifest에 이름이 없음"),
                         _MOVE_OUT),
        "foreign": Case(WARN, Text("a backup of {owner}, not of this target", "이 대상이 아니라 {owner}의 백업임"),
                        _MOVE_OUT),
        "unknown": Case(WARN, Text("not part of any backup; left alone and not verified",
                                   "백업에 속하지 않은 파일. 그대로 두고 검증하지 않음"), _MOVE_OUT),
        "unfinished": Case(WARN, Text("being written now, or left by a backup that was cut off",
                                      "지금 기록 중이거나, 중단된 백업이 남긴 파일"),
                           Text("Nothing to do: the next backup of this target removes what was left",
                                "조치할 것 없음: 이 대상의 다음 백업이 남은 파일을 지웁니다")),
    }, _UNREAD_FIX),
    Rule("backup-sidecar", Text("SHA-256 sidecar of", "SHA-256 체크섬 파일"),
         Text("one line of sha256sum that names the file", "파일 이름이 적힌 sha256sum 형식의 한 줄"), {
        "no-sidecar": Case(FAIL, Text("missing", "없음"), Text("{remedy}", "{remedy}")),
        "empty-sidecar": Case(FAIL, Text("empty (0 bytes)", "비어 있음(0바이트)"), Text("{remedy}", "{remedy}")),
        "malformed-sidecar": Case(FAIL, Text("not in the format of sha256sum", "sha256sum 형식이 아님"),
                                  Text("{remedy}", "{remedy}")),
        "other-sidecar": Case(FAIL, Text("names another file: {other}", "다른 파일의 것임: {other}"),
                              Text("{remedy}", "{remedy}")),
        "altered-sidecar": Case(FAIL, Text("altered: it says {wanted}…; the file and its manifest say {actual}…",
                                           "내용이 바뀌었음: {wanted}…로 되어 있지만 파일과 manifest는 {actual}…"),
                                WRITE_SIDECAR),
    }, _UNREAD_FIX),
    Rule("backup-manifest", Text("manifest", "manifest"),
         Text("the description that the backup was made with", "백업할 때 함께 기록된 설명 파일"), {
        "no-manifest": Case(FAIL, Text("missing: this backup was cut off, or its manifest was removed",
                                       "없음: 백업이 중단되었거나 manifest가 삭제됨"), _MANIFEST_FIX),
        "broken-manifest": Case(FAIL, Text("damaged: it is no JSON", "손상됨: JSON이 아님"), _MANIFEST_FIX),
        "foreign-manifest": Case(FAIL, Text("not of this backup, or of another version of its format",
                                            "이 백업의 것이 아니거나 형식의 버전이 다름"), _MANIFEST_FIX),
        "altered-manifest": Case(FAIL, Text("says otherwise of {name} than the file and its sidecar do",
                                            "{name}의 내용이 파일 및 체크섬 파일과 다르게 적혀 있음"), _MANIFEST_FIX),
        "suspect": Case(WARN, Text("the run that made this backup doubted it: {reasons}",
                                   "백업한 실행이 이 백업을 의심함: {reasons}"),
                        Text("Restore an earlier one unless you know why; see /var/log/coinpilot",
                             "이유를 모르면 더 이전 백업으로 복구하세요. /var/log/coinpilot 로그를 확인하세요")),
    }, _UNREAD_FIX),
    Rule("backup-size", Text("size of", "크기"),
         Text("at least half of the median of those before it", "이전 백업들 중앙값의 절반 이상"), {
        # The bytes are what was written: what was written is likely not all. That is a failed backup.
        "too-small": Case(FAIL, Text("{size} where those before it have {median}",
                                     "{size}: 이전 백업들은 {median}"),
                          Text("Find out what is missing from {target}; if the data did shrink, take a new backup: "
                               "sudo coinpilot-ops backup {target} --accept-change",
                               "{target}에서 무엇이 없어졌는지 확인하세요. 데이터가 실제로 줄었다면 새로 백업하세요: "
                               "sudo coinpilot-ops backup {target} --accept-change")),
    }),
    Rule("backup-date", Text("date of", "날짜"), Text("not after now", "현재 시각 이전"), {
        "future": Case(WARN, Text("dated {ahead} ahead of this host's clock", "이 호스트의 시계보다 {ahead} 앞선 날짜"),
                       Text("Check the clock: timedatectl; where it is right, take a new backup (sudo coinpilot-ops "
                            "backup {target}) and move this one out of the backup directory: its date misleads what "
                            "is kept and what is due",
                            "시계를 확인하세요: timedatectl. 시계가 맞으면 새로 백업하고(sudo coinpilot-ops backup "
                            "{target}) 이 백업을 백업 디렉터리 밖으로 옮기세요. 날짜가 틀리면 보관과 백업 시점 판단이 "
                            "어긋납니다")),
    }),
    Rule("backup-mode", Text("mode of", "권한"), Text("0600: nobody but its owner", "0600: 소유자만 읽을 수 있음"), {
        "open": Case(FAIL, Text("{mode}: others are allowed to read it", "{mode}: 다른 사용자가 읽을 수 있음"),
                     Text("sudo chmod 600 {path}", "sudo chmod 600 {path}")),
    }),
)
CASES = RULES["backup-root"].cases
RULE_OF = {case: rule for rule in RULES.values() for case in rule.cases}
