require('http').createServer((request, response) => response.end('hello from node\n')).listen(process.env.PORT, process.env.HOST);
