# Wrote v1/: verifiers 0.4.0. Run in a folder with server.py and the package sums, and HOME set to a folder of no meaning.
python server.py & server=$!
sleep 1
PYTHONPATH=. KEY=x vf-eval sums --env.agent.harness.id sums --env.agent.runtime.type subprocess -r 2 \
  --no-push --no-rich --client.base-url http://127.0.0.1:8765/v1 --client.api-key-var KEY -m tiny \
  --sampling.temperature 1.0 --sampling.max-tokens 160 --output-dir out --run.name sums --clean
kill $server
