"""A model server of three answers: right and wrong in turn, one cut at the length limit, one refused with an error."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

drawn = count()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][-1]["content"]
        status, text, end = 200, ["9+5=14; \\boxed{14}", "9+5=15; \\boxed{15}"][next(drawn) % 2], "stop"
        if "47*6" in question:
            text, end = "7*6=42; 4*6+4=28; " * 4, "length"
        if "8+6" in question:
            status, answer = 400, {"error": {"message": "the server is overloaded", "type": "server_error"}}
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": end}
            usage = {"prompt_tokens": 12, "completion_tokens": 24, "total_tokens": 36}
            answer = {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}
            answer["usage"] = usage
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 8765), Handler)
server.serve_forever()
