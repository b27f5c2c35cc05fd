# All but the last line is the same for collector, bot and dashboard: the engine builds it once for the three.
FROM python:3.12-slim
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
RUN --mount=type=bind,source=wheels,target=/wheels \
    python -m pip install --no-index --find-links /wheels --no-cache-dir --root-user-action ignore \
    --disable-pip-version-check --requirement /wheels/requirements.txt
COPY --chmod=0755 app/ app/
USER 10001:10001
CMD ["python", "-m", "app.collector"]
