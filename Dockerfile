# The HTTP service and its page, behind an access token. See docs/rest.md.
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
COPY constraints.txt /tmp/constraints.txt
COPY --from=build /wheels /tmp/wheels
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt "$(ls /tmp/wheels/*.whl)[serve]" \
    && rm -r /tmp/wheels /tmp/constraints.txt \
    && useradd --system --uid 10001 --home-dir /tmp --no-create-home ner

# Nothing is written at run time, and nothing is fetched.
ENV HOME=/tmp \
    OPENMED_NER_OFFLINE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8765
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/health', timeout=4)"]
ENTRYPOINT ["openmed-ner"]
CMD ["serve", "--host", "0.0.0.0", "--token-file", "/run/secrets/openmed_ner_token"]
