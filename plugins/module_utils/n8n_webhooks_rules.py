# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What can be said of n8n's webhooks, its volume and its owner, and of what came of calling the webhooks."""

from __future__ import annotations

from .findings import CRITICAL, FAIL, PASS, UNKNOWN, WARN, Case, Rule, Text, table

_DEPLOY = Text("ansible-playbook site.yml", "ansible-playbook site.yml")
_RESTART = Text("docker restart {container}; if it stays like this: docker logs --tail 100 {container}",
                "docker restart {container} 실행. 그래도 같으면: docker logs --tail 100 {container}")
_ACTIVATE = Text("in n8n (http://localhost:{tunnel_port} by the tunnel) open it, Save, Active ON; or: "
                 "ansible-playbook site.yml",
                 "터널로 n8n(http://localhost:{tunnel_port})에 접속해 열고 Save 후 Active ON; 또는: "
                 "ansible-playbook site.yml")
_SEE_EXECUTION = Text("see it in n8n, Executions, number {execution} (http://localhost:{tunnel_port} by the tunnel)",
                      "n8n의 Executions에서 {execution}번을 확인하세요(터널: http://localhost:{tunnel_port})")
_EXECUTIONS = Text("what and why is in n8n, Executions (http://localhost:{tunnel_port} by the tunnel); then prove it: "
                   "sudo coinpilot-ops monitoring --prove",
                   "원인은 n8n의 Executions에 있습니다(터널: http://localhost:{tunnel_port}). 고친 뒤 확인: sudo "
                   "coinpilot-ops monitoring --prove")
_FAILED = Text("answered {answer}, but execution {execution} of '{workflow}' failed at the node {node}: {said}",
               "응답은 {answer}이지만 '{workflow}'의 실행 {execution}이(가) {node} 노드에서 실패: {said}")

STATE_RULES = table(
    Rule("n8n", Text("n8n", "n8n"), Text("runs, and is what answers at 127.0.0.1:{port}",
                                         "실행 중이며 127.0.0.1:{port}에서 응답하는 n8n"), {
        "running": Case(PASS, Text("{container} runs and has port {port}", "{container} 실행 중, 포트 {port} 사용")),
        "down": Case(FAIL, Text("{container} is {condition}: no webhook is answered",
                                "{container} 상태: {condition}. 웹훅에 응답하지 않음"),
                     Text("see why: docker logs --tail 100 {container}; then: sudo systemctl reload-or-restart {unit}",
                          "원인 확인: docker logs --tail 100 {container}; 그다음: sudo systemctl reload-or-restart "
                          "{unit}")),
        "starting": Case(UNKNOWN, Text("{container} is starting: it answers in a minute",
                                       "{container} 시작 중: 1분쯤 뒤에 응답함"),
                         Text("look again in a minute", "1분 뒤에 다시 확인하세요")),
        "other-instance": Case(FAIL, Text("another n8n, or another program, has port {port}: the container {other}",
                                          "포트 {port}을(를) 다른 컨테이너가 사용 중: {other}(다른 n8n 인스턴스)"),
                               Text("stop it (docker stop {other}), then: sudo systemctl reload-or-restart {unit}",
                                    "해당 컨테이너를 멈춘 뒤(docker stop {other}): sudo systemctl reload-or-restart "
                                    "{unit}")),
        "unpublished": Case(FAIL, Text("{container} runs, but is not published at port {port}",
                                       "{container}은(는) 실행 중이지만 포트 {port}에 열려 있지 않음"), _DEPLOY),
    }, Text("is Docker running? sudo systemctl status docker", "Docker가 실행 중인가요? sudo systemctl status docker")),
    Rule("n8n-volume", Text("n8n's volume", "n8n 볼륨"), Text("{wanted} at {mount}, with workflows in it",
                                                            "{mount}에 {wanted} 연결, 워크플로 있음"), {
        "right": Case(PASS, Text("{volume}, workflows: {count}", "{volume}, 워크플로 {count}개")),
        "wrong": Case(FAIL, Text("{volume} is mounted, with {count} workflows; others: {others}",
                                 "{volume}이(가) 연결됨(워크플로 {count}개). 다른 볼륨: {others}"),
                      Text("nothing is lost, it is in another volume: docker rm -f {container} (volumes stay), then "
                           "ansible-playbook site.yml; by hand always with the project name {project}",
                           "데이터는 사라지지 않았고 다른 볼륨에 있습니다. docker rm -f {container}(볼륨은 유지) 후 "
                           "ansible-playbook site.yml; 직접 실행할 때는 항상 프로젝트 이름 {project} 사용")),
        "empty": Case(FAIL, Text("{volume} holds no workflow; others: {others}",
                                 "{volume}에 워크플로가 없음. 다른 볼륨: {others}"),
                      Text("if another volume holds them, copy it here while n8n is stopped, or restore a backup "
                           "(sudo coinpilot-ops restore n8n); otherwise: ansible-playbook site.yml",
                           "다른 볼륨에 있다면 n8n을 멈추고 복사하거나 백업을 복구하세요"
                           "(sudo coinpilot-ops restore n8n). 아니면: ansible-playbook site.yml")),
    }, Text("sudo is needed to read it; does the volume exist? docker volume ls",
            "읽으려면 sudo가 필요합니다. 볼륨 확인: docker volume ls")),
    Rule("n8n-owner", Text("n8n's owner", "n8n 소유자 계정"), Text("there is an account", "소유자 계정이 있음"), {
        "there": Case(PASS, Text("the account exists", "계정 있음")),
        "open": Case(FAIL, Text("there is none: who comes first to the set-up page owns n8n and every credential in it",
                                "없음. 설정 페이지에 먼저 들어온 사람이 n8n과 모든 자격 증명을 차지함"),
                     Text("set N8N_OWNER_EMAIL and N8N_OWNER_PASSWORD (ansible-vault edit vault.yml), then: "
                          "ansible-playbook site.yml",
                          "N8N_OWNER_EMAIL, N8N_OWNER_PASSWORD를 설정한 뒤(ansible-vault edit vault.yml): "
                          "ansible-playbook site.yml")),
    }, Text("sudo is needed to read it; does n8n run? docker ps --filter name=n8n",
            "읽으려면 sudo가 필요합니다. n8n 실행 여부: docker ps --filter name=n8n"), CRITICAL),
    Rule("n8n-webhook", Text("webhook", "웹훅"), Text("registered by an active workflow, behind a check of the secret",
                                                    "활성 워크플로가 등록했고 시크릿을 검사함"), {
        "registered": Case(PASS, Text("registered by the active workflow '{workflow}'",
                                      "활성 워크플로 '{workflow}'이(가) 등록함")),
        "no-workflow": Case(FAIL, Text("no workflow in {volume} has it: 404", "{volume}의 어떤 워크플로에도 없음: 404"),
                            Text("import it: ansible-playbook site.yml; is it the right volume? docker volume ls",
                                 "가져오기: ansible-playbook site.yml; 볼륨이 맞는지 확인: docker volume ls")),
        "inactive": Case(FAIL, Text("its workflow '{workflow}' is not active: 404",
                                    "워크플로 '{workflow}'이(가) 비활성(Inactive): 404"), _ACTIVATE),
        "archived": Case(FAIL, Text("its workflow '{workflow}' is archived: 404",
                                    "워크플로 '{workflow}'이(가) 보관(Archived)됨: 404"),
                         Text("unarchive it in n8n, Save, Active ON; or: ansible-playbook site.yml",
                              "n8n에서 보관을 풀고 Save 후 Active ON; 또는: ansible-playbook site.yml")),
        "disabled": Case(FAIL, Text("the node {node} of '{workflow}' is disabled: 404",
                                    "'{workflow}'의 {node} 노드가 꺼져 있음(disabled): 404"),
                         Text("enable the node in n8n, Save, Active ON", "n8n에서 노드를 켜고 Save 후 Active ON")),
        "no-webhook-id": Case(FAIL, Text("the node {node} of '{workflow}' was imported without a webhook id, so it is "
                                         "registered as /webhook/{registered}: 404",
                                         "'{workflow}'의 {node} 노드가 webhookId 없이 가져와져서 "
                                         "/webhook/{registered}(으)로 등록됨: 404"),
                              Text("import it with a webhookId: ansible-playbook site.yml; or in n8n remove the node, "
                                   "add a new Webhook node with the path {path}, Save, Active ON",
                                   "webhookId를 넣어 다시 가져오세요: ansible-playbook site.yml; 또는 n8n에서 노드를 "
                                   "지우고 경로 {path}의 Webhook 노드를 새로 만든 뒤 Save, Active ON")),
        "method": Case(FAIL, Text("'{workflow}' has it registered for {methods}, not for POST: 404",
                                  "'{workflow}'이(가) POST가 아니라 {methods}(으)로 등록함: 404"),
                       Text("set HTTP Method of the node {node} to POST, Save, Active ON",
                            "{node} 노드의 HTTP Method를 POST로 바꾸고 Save, Active ON")),
        "not-published": Case(FAIL, Text("'{workflow}' runs an older version, which does not have it: 404",
                                         "'{workflow}'은(는) 이 경로가 없는 이전 버전으로 실행 중: 404"),
                              Text("in n8n open it, Save, Active OFF and ON; or: ansible-playbook site.yml",
                                   "n8n에서 열고 Save 후 Active를 껐다 켜세요; 또는: ansible-playbook site.yml")),
        "not-registered": Case(FAIL, Text("'{workflow}' is active, but n8n has not registered it since: 404",
                                          "'{workflow}'은(는) 활성이지만 n8n이 아직 등록하지 않음: 404"), _RESTART),
        "leftover": Case(FAIL, Text("registered by '{workflow}', which is not active any more: 404 after the next "
                                    "restart",
                                    "등록한 '{workflow}'이(가) 이제 비활성: 다음 재시작 뒤에는 404"), _ACTIVATE),
        "orphan": Case(FAIL, Text("registered by a workflow that is gone ({workflow})",
                                  "등록한 워크플로({workflow})가 없어짐"), _RESTART),
        "held": Case(WARN, Text("'{workflow}' has it; '{others}' wants the same path and gets no call",
                                "'{workflow}'이(가) 사용 중이고, 같은 경로의 '{others}'은(는) 호출을 받지 못함"),
                     Text("deactivate or delete the one that is not meant, Save, Active ON for the other",
                          "쓰지 않을 워크플로를 끄거나 지우고, 쓸 워크플로를 Save 후 Active ON")),
        "held-inactive": Case(WARN, Text("'{workflow}' has it; the inactive '{others}' has the same path",
                                         "'{workflow}'이(가) 사용 중이고, 비활성 '{others}'에도 같은 경로가 있음"),
                              Text("if '{others}' is the one that is meant: deactivate '{workflow}' and activate it; "
                                   "otherwise give it another path, or delete it",
                                   "'{others}'이(가) 맞다면 '{workflow}'을(를) 끄고 켜세요. 아니면 경로를 바꾸거나 "
                                   "지우세요")),
        "no-credential": Case(FAIL, Text("the node {node} of '{workflow}' asks for a credential that is not there: "
                                         "every call fails",
                                         "'{workflow}'의 {node} 노드가 쓰는 자격 증명이 없음: 모든 호출이 실패"),
                              Text("put it back: ansible-playbook site.yml; or choose one in the node, Save",
                                   "다시 넣으세요: ansible-playbook site.yml; 또는 노드에서 선택 후 Save")),
        "unguarded": Case(FAIL, Text("'{workflow}' takes calls without the secret: {said}",
                                     "'{workflow}'이(가) 시크릿 없는 호출도 받음: {said}"),
                          Text("in the Webhook node set Authentication to Header Auth, Save; or: "
                               "ansible-playbook site.yml",
                               "Webhook 노드의 Authentication을 Header Auth로 바꾸고 Save; 또는: "
                               "ansible-playbook site.yml")),
        "blocked": Case(FAIL, Text("'{workflow}' answers 200 and fails: {said}",
                                   "'{workflow}'은(는) 200으로 응답하고 실패함: {said}"),
                        Text("use credentials in place of the environment's variables: ansible-playbook site.yml "
                             "brings such workflows",
                             "환경변수 대신 자격 증명을 쓰세요. ansible-playbook site.yml이 그런 워크플로를 넣습니다")),
    }, Text("does n8n run? docker ps --filter name={container}", "n8n 실행 여부: docker ps --filter name={container}")),
    Rule("n8n-calls", Text("calls of the last day", "최근 하루의 호출"),
         Text("what was called was delivered, as n8n's own record says", "호출이 모두 전달됨(n8n 실행 기록 기준)"), {
        "well": Case(PASS, Text("{count}, all delivered", "{count}건, 모두 전달됨")),
        "none": Case(PASS, Text("none", "없음")),
        "some-failed": Case(WARN, Text("{failed} of {count} failed; the last was delivered",
                                       "{count}건 중 {failed}건 실패. 마지막 호출은 전달됨"), _EXECUTIONS),
        "failing": Case(FAIL, Text("{failed} of {count} failed, and so did the last of {workflows}: {said}",
                                   "{count}건 중 {failed}건 실패. {workflows}은(는) 마지막 호출도 실패: {said}"),
                        _EXECUTIONS),
    }, Text("see what n8n says: docker logs --tail 100 {container}",
            "n8n 로그 확인: docker logs --tail 100 {container}")),
)

PROBE_RULES = table(
    Rule("n8n-probe", Text("webhook probe", "웹훅 probe"),
         Text("a call with the right secret is delivered, as n8n's own record says",
              "올바른 시크릿으로 호출하면 전달됨(n8n 실행 기록 기준)"), {
        "delivered": Case(PASS, Text("delivered: execution {execution} of '{workflow}', {node} ran",
                                     "전달됨: '{workflow}'의 실행 {execution}, {node} 노드 실행")),
        "not-registered": Case(FAIL, Text("not found, for {why}", "찾을 수 없음: {why}"), Text("{fix}", "{fix}")),
        "not-known": Case(FAIL, Text("answered 404, though n8n's database has it registered: n8n has not read it since",
                                     "n8n 데이터베이스에는 등록되어 있으나 404로 응답함: n8n이 아직 읽지 않음"),
                          _RESTART),
        "secret-differs": Case(FAIL, Text("answered {answer}: n8n's credential does not hold the secret of .env",
                                          "{answer} 응답: n8n 자격 증명의 시크릿이 .env와 다름"),
                               Text("put it into n8n: ansible-playbook site.yml",
                                    "n8n에 다시 넣으세요: ansible-playbook site.yml")),
        "no-secret": Case(FAIL, Text("there is no {key} in {path}", "{path}에 {key}이(가) 없음"),
                          Text("set it (ansible-vault edit vault.yml), then: ansible-playbook site.yml",
                               "값을 설정한 뒤(ansible-vault edit vault.yml): ansible-playbook site.yml")),
        "not-sent": Case(UNKNOWN, Text("not called: {why}", "호출하지 않음: {why}"), Text("{fix}", "{fix}")),
        "busy": Case(UNKNOWN, Text("another probe is running", "다른 probe가 실행 중"),
                     Text("run this again in a minute", "1분 뒤 다시 실행하세요")),
        "unanswered": Case(FAIL, Text("no answer: {said}", "응답 없음: {said}"), _RESTART),
        "refused": Case(FAIL, Text("answered {answer}, and nothing was run", "{answer} 응답, 아무것도 실행되지 않음"),
                        Text("see why: docker logs --tail 100 {container}",
                             "원인 확인: docker logs --tail 100 {container}")),
        "explained": Case(FAIL, Text("answered {answer}, and nothing was run: {why}",
                                     "{answer} 응답, 아무것도 실행되지 않음: {why}"), Text("{fix}", "{fix}")),
        "not-saved": Case(UNKNOWN, Text("answered {answer}, but '{workflow}' keeps no record of its executions",
                                        "{answer} 응답이지만 '{workflow}'이(가) 실행 기록을 저장하지 않음"),
                          Text("in its Settings in n8n set 'Save successful production executions' to Save",
                               "n8n의 워크플로 Settings에서 성공한 실행 저장(Save successful production executions)을 "
                               "켜세요")),
        "not-recorded": Case(UNKNOWN, Text("answered {answer}, but n8n has no record of the execution",
                                           "{answer} 응답이지만 n8n에 실행 기록이 없음"),
                             Text("see what n8n says: docker logs --tail 100 {container}",
                                  "n8n 로그 확인: docker logs --tail 100 {container}")),
        "still-running": Case(UNKNOWN, Text("answered {answer}; execution {execution} of '{workflow}' is still "
                                            "{status} after {seconds} s: what it calls (Discord?) does not answer",
                                            "{answer} 응답; '{workflow}'의 실행 {execution}이(가) {seconds}초 뒤에도 "
                                            "{status}: 호출 대상(Discord?)이 응답하지 않음"), _SEE_EXECUTION),
        "dropped": Case(FAIL, Text("answered {answer}, but execution {execution} of '{workflow}' ended at {node} "
                                   "without sending anything",
                                   "응답은 {answer}이지만 '{workflow}'의 실행 {execution}이(가) 아무것도 보내지 않고 "
                                   "{node}에서 끝남"),
                        Text("does the workflow compare with the secret of .env? ansible-playbook site.yml brings one "
                             "that checks it with a credential",
                             "워크플로가 .env의 시크릿과 비교하는지 확인하세요. ansible-playbook site.yml은 자격 "
                             "증명으로 검사하는 워크플로를 넣습니다")),
        "failed": Case(FAIL, _FAILED, _SEE_EXECUTION),
        "rate-limited": Case(FAIL, _FAILED, Text("Discord limits how much it takes (429): probe again in a minute; if "
                                                 "it goes on, send less",
                                                 "Discord 전송 제한(429)입니다. 1분 뒤 다시 probe하세요. 계속되면 "
                                                 "메시지를 줄이세요")),
        "address-refused": Case(FAIL, _FAILED, Text("Discord does not know the webhook: put its URL into "
                                                    "DISCORD_WEBHOOK_URL (ansible-vault edit vault.yml), then: "
                                                    "ansible-playbook site.yml",
                                                    "Discord가 웹훅 주소를 거부했습니다. DISCORD_WEBHOOK_URL을 고친 뒤"
                                                    "(ansible-vault edit vault.yml): ansible-playbook site.yml")),
        "trouble-there": Case(FAIL, _FAILED, Text("the trouble is on the other side (5xx): see discordstatus.com, "
                                                  "probe again later",
                                                  "상대 서버 오류(5xx)입니다. discordstatus.com을 확인하고 나중에 다시 "
                                                  "probe하세요")),
        "unreachable": Case(FAIL, _FAILED, Text("n8n cannot reach it: is the host's way to the Internet open? docker "
                                                "exec {container} node -e \"fetch('https://discord.com').then(r => "
                                                "console.log(r.status))\"",
                                                "n8n에서 연결할 수 없습니다. 외부 네트워크 확인: docker exec "
                                                "{container} node -e \"fetch('https://discord.com').then(r => "
                                                "console.log(r.status))\"")),
        "env-denied": Case(FAIL, _FAILED, Text("n8n forbids its workflows the environment: use credentials; "
                                               "ansible-playbook site.yml brings such a workflow",
                                               "n8n이 워크플로의 환경변수 접근을 막습니다. 자격 증명을 쓰세요. "
                                               "ansible-playbook site.yml이 그런 워크플로를 넣습니다")),
    }, Text("does n8n run? docker ps --filter name={container}", "n8n 실행 여부: docker ps --filter name={container}")),
    Rule("n8n-probe-refusal", Text("calls without the secret", "시크릿 없는 호출"),
         Text("refused, with a wrong secret and with none: nothing is sent",
              "잘못된 시크릿이나 시크릿 없는 호출은 거부되고 아무것도 전송되지 않음"), {
        "refused": Case(PASS, Text("refused: none {none}, wrong {wrong}", "거부됨: 없음 {none}, 틀림 {wrong}")),
        "let-through": Case(FAIL, Text("a call {how} was let through: execution {execution} of '{workflow}', {node} "
                                       "ran",
                                       "{how} 호출이 통과됨: '{workflow}'의 실행 {execution}, {node} 노드 실행"),
                            Text("in the Webhook node set Authentication to Header Auth with the secret, Save; or: "
                                 "ansible-playbook site.yml",
                                 "Webhook 노드의 Authentication을 Header Auth(시크릿)로 바꾸고 Save; 또는: "
                                 "ansible-playbook site.yml")),
        "unsure": Case(UNKNOWN, Text("a call {how} was answered {answer}, and n8n's record does not tell what it did",
                                     "{how} 호출에 {answer} 응답, n8n 기록으로는 결과를 알 수 없음"),
                       Text("in the Webhook node set Authentication to Header Auth with the secret, Save; or: "
                            "ansible-playbook site.yml",
                            "Webhook 노드의 Authentication을 Header Auth(시크릿)로 바꾸고 Save; 또는: "
                            "ansible-playbook site.yml")),
    }, Text("probe again: does n8n run? docker ps --filter name={container}",
            "다시 probe하세요. n8n 실행 여부: docker ps --filter name={container}"), severity=CRITICAL),
)
WITHOUT = {"none": Text("without a secret", "시크릿 없는"), "wrong": Text("with a wrong secret", "틀린 시크릿의")}
NO_OTHERS = Text("none with n8n in its name", "이름에 n8n이 있는 다른 볼륨 없음")
OTHER = Text("{name} (workflows: {count})", "{name}(워크플로 {count}개)")
