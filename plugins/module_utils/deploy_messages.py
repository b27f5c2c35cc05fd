# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What a deploy says when it does not end well: key -> (English, Korean)."""

from __future__ import annotations

MESSAGES = {
    "invalid": (
        "The new compose file is not valid; nothing was changed. Compose says:\n{detail}",
        "새 compose 파일이 올바르지 않습니다. 바뀐 것은 없습니다. Compose의 메시지:\n{detail}"),
    "env_altered": (
        "These keys of .env would not reach the containers as given; nothing was changed: {keys}",
        ".env의 다음 키는 값이 그대로 컨테이너에 전달되지 않습니다. 바뀐 것은 없습니다: {keys}"),
    "unset": (
        "The compose file asks for keys that .env does not have; nothing was changed: {keys}. Add them to "
        "stack_secrets or stack_settings, or write $$ in stack_service_overrides for a dollar sign.",
        "compose 파일이 .env에 없는 키를 사용합니다. 바뀐 것은 없습니다: {keys}. stack_secrets 또는 stack_settings에 "
        "추가하거나, stack_service_overrides에서 달러 기호는 $$로 쓰세요."),
    "unsafe": (
        "The new files are not safe; nothing was changed, and what runs goes on. docs/preflight-rules.md tells the "
        "rules, README how to waive one:\n{detail}",
        "새 파일이 안전하지 않습니다. 바뀐 것은 없으며 실행 중인 스택은 그대로입니다. "
        "규칙은 docs/preflight-rules.ko.md, 면제 방법은 README.ko.md에 있습니다:\n{detail}"),
    "services_missing": (
        "The compose file lacks services of the description: {services}. Nothing was changed.",
        "스택 설명에 있는 서비스가 compose 파일에 없습니다: {services}. 바뀐 것은 없습니다."),
    "no_source": (
        "{dockerfile} is not in the application's source ({directory}); the service {service} is built from it. "
        "Nothing was changed. Check application_source_repository or application_source_directory.",
        "애플리케이션 소스({directory})에 {dockerfile} 파일이 없어 {service} 서비스를 빌드할 수 없습니다. "
        "바뀐 것은 없습니다. application_source_repository 또는 application_source_directory를 확인하세요."),
    "build": (
        "Building {services} failed; the running stack was not touched. The end of the output:\n{detail}",
        "{services} 빌드에 실패했습니다. 실행 중인 스택은 그대로입니다. 출력의 끝부분:\n{detail}"),
    "pull": (
        "Pulling {services} failed; the running stack was not touched. Check the image names and the network. "
        "The end of the output:\n{detail}",
        "{services} 이미지를 받지 못했습니다. 실행 중인 스택은 그대로입니다. 이미지 이름과 네트워크를 확인하세요. "
        "출력의 끝부분:\n{detail}"),
    "locked": (
        "Another deploy is at work on this host (process {pid}) and did not end within {seconds} s. "
        "Wait for it, or look at it: ps -fp {pid}",
        "이 호스트에서 진행 중인 다른 배포(프로세스 {pid})가 {seconds}초 안에 끝나지 않았습니다. "
        "끝날 때까지 기다리거나 확인하세요: ps -fp {pid}"),
    "service": (
        "{service} ({container}) is {condition}.{advice}\nIts last lines:\n{log}",
        "{service} ({container}) 상태: {condition}.{advice}\n마지막 로그:\n{log}"),
    "time_limit": (
        " It was not healthy within {seconds} s.",
        " {seconds}초 안에 healthy 상태가 되지 않았습니다."),
    "disturbed": (
        " It was healthy and did not stay so for {seconds} s.",
        " healthy 상태가 되었지만 {seconds}초 동안 유지하지 못했습니다."),
    "compose_up": (
        "`docker compose up` failed:\n{detail}",
        "`docker compose up` 실패:\n{detail}"),
    "rolled_back": (
        "The deploy FAILED and was undone: the previous compose file, .env and images are back and healthy. "
        "No data was touched.",
        "배포에 실패하여 롤백했습니다. 이전 compose 파일, .env, 이미지로 돌아왔고 정상입니다. 데이터는 그대로입니다."),
    "not_rolled_back": (
        "The deploy FAILED, and going back to the previous files did not end healthy either: {detail}\n"
        "No data was touched. Look at: docker compose ps -a; docker compose logs",
        "배포에 실패했고, 이전 파일로 롤백한 뒤에도 정상이 아닙니다: {detail}\n"
        "데이터는 그대로입니다. 확인: docker compose ps -a; docker compose logs"),
    "nothing_to_go_back_to": (
        "The deploy FAILED. There is no earlier healthy state on this host to go back to, so everything was left as "
        "it is. No data was touched. Mend the cause and run again.",
        "배포에 실패했습니다. 이 호스트에는 롤백할 이전 정상 상태가 없어 지금 상태로 두었습니다. "
        "데이터는 그대로입니다. 원인을 고친 뒤 다시 실행하세요."),
    "half_made": (
        "This run made the volumes {volumes}, which hold nothing else. If the first start of a database broke off in "
        "them, remove them before you run again, or it stays half set up:\n"
        "  cd {directory} && docker compose --env-file .env -f {compose_file} down && docker volume rm {volumes}",
        "이번 실행에서 새 볼륨이 만들어졌고, 그 안에 다른 데이터는 없습니다: {volumes}. 데이터베이스의 첫 시작이 "
        "도중에 끊겼다면 다시 실행하기 전에 지우세요. 그대로 두면 초기화가 절반만 된 채로 남습니다:\n"
        "  cd {directory} && docker compose --env-file .env -f {compose_file} down && docker volume rm {volumes}"),
}
