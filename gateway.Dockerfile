# The gateway alone: `docker build -f gateway.Dockerfile .`; compose.cpu.yaml and compose.gpu.yaml start it with its server.
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends fonts-liberation fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/* && useradd --create-home gateway
WORKDIR /gateway
COPY requirements-gateway.txt .
RUN pip install --no-cache-dir -r requirements-gateway.txt
COPY ocr ocr
USER gateway
EXPOSE 8000
HEALTHCHECK --interval=10s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
CMD ["python", "-P", "-m", "ocr.faces.gateway.main", "--host", "0.0.0.0"]
ENV PYTHONPATH=/gateway
