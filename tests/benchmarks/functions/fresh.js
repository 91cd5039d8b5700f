let runs = 0;

exports.handler = async () => ({ runs: ++runs });
