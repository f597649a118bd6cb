// Peer: Socket.IO with one room. Sends each message to everyone in it; stores and checks nothing.
const { Server } = require("socket.io");
const http = require("http").createServer();
const io = new Server(http, { transports: ["websocket"], pingInterval: 600000, perMessageDeflate: false });
io.on("connection", (socket) => {
  socket.join("room");
  socket.on("m", (text) => io.to("room").emit("m", text));
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
