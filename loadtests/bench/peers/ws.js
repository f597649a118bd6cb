// Peer: Node's `ws`. Sends each message to every connection; stores and checks nothing.
const { WebSocketServer, WebSocket } = require("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("listening", () => console.log(server.address().port));
server.on("connection", (socket) => {
  socket.on("message", (data) => {
    const text = data.toString();
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(text);
    }
  });
});
