// A WebSocket server that echoes, made to be tested by Autobahn's suite: an example of gorilla/websocket.
module kaos.dev/testbed/websocket

go 1.26.0

tool github.com/gorilla/websocket/examples/autobahn

require github.com/gorilla/websocket v1.5.3 // indirect
