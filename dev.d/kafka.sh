# Kafka: one KRaft node on loopback, and the topic of the orders.
# shellcheck shell=bash

ORDERS_TOPIC=speedy.orders
MAIL_TOPIC=speedy.mail

kafka_java() {
    KAFKA_JAVA=(java -Xms128m -Xmx512m -XX:+UseSerialGC
        -XX:+ExitOnOutOfMemoryError
        "-Dlog4j2.configurationFile=$ROOT/docker/kafka/log4j2.properties")
    KAFKA_CP=(-cp "$(kafka_libs)/*")
}

kafka_prepare() {
    write_file 0644 "$DEV/etc/server.properties" <<EOF
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$PORT_KAFKA,CONTROLLER://127.0.0.1:$PORT_KAFKA_CONTROLLER
advertised.listeners=PLAINTEXT://127.0.0.1:$PORT_KAFKA
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$PORT_KAFKA_CONTROLLER
log.dirs=$DEV/data/kafka
auto.create.topics.enable=false
# One broker holds the only copy. Production: three brokers, replication factor
# 3, min.insync.replicas=2, unclean.leader.election.enable=false.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# One broker that was killed waits for its own old session before it may come
# back: 9 s by default.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=2
EOF
    kafka_jmx
    kafka_java
    service kafka 1 grace=15 -- "${KAFKA_JAVA[@]}" \
        "-javaagent:$(echo "$(kafka_libs)"/jmx_prometheus_javaagent-*.jar)=127.0.0.1:$PORT_KAFKA_JMX:$DEV/etc/jmx.yaml" \
        "${KAFKA_CP[@]}" kafka.Kafka "$DEV/etc/server.properties"
}

kafka_jmx() {
    write_file 0644 "$DEV/etc/jmx.yaml" <<'EOF'
lowercaseOutputName: true
includeObjectNames:
  - "kafka.server:type=BrokerTopicMetrics,*"
  - "kafka.server:type=ReplicaManager,*"
  - "kafka.network:type=RequestMetrics,name=TotalTimeMs,request=Produce"
rules:
  - pattern: "kafka.server<type=(.+), name=(.+)><>(Count|Value)"
    name: kafka_server_$1_$2
  - pattern: "kafka.network<type=RequestMetrics, name=TotalTimeMs, request=Produce><>(50|99)thPercentile"
    name: kafka_produce_ms_p$1
EOF
}

# Only on the first start; the cluster's id is 16 random bytes in
# base64, of which neither sign is kept: a leading "-" reads as an option.
kafka_format() {
    [ ! -e "$DEV/data/kafka/meta.properties" ] || return 0
    kafka_java
    rm -rf "$DEV/data/kafka"
    timeout 60 "${KAFKA_JAVA[@]}" -XX:TieredStopAtLevel=1 "${KAFKA_CP[@]}" \
        kafka.tools.StorageTool format --standalone \
        -t "$(openssl rand -base64 16 | tr '+/' 'Aa' | tr -d '=')" \
        -c "$DEV/etc/server.properties" >>"$DEV/log/kafka.log" 2>&1
}

kafka_ready() { "$ROOT/dev.d/kafka-admin" "$PORT_KAFKA" ready; }

kafka_topics() {
    kafka_topic "$ORDERS_TOPIC" 12
    kafka_topic "$MAIL_TOPIC" 4
}

kafka_topic() { # name, partitions
    "$ROOT/dev.d/kafka-admin" "$PORT_KAFKA" topic "$1" 2>/dev/null && return
    "$ROOT/dev.d/kafka-admin" "$PORT_KAFKA" create "$1" "$2" \
        retention.ms=604800000 min.insync.replicas=1
    wait_until 15 "$ROOT/dev.d/kafka-admin" "$PORT_KAFKA" topic "$1" ||
        die "kafka: topic $1 has no leader; its log: $DEV/log/kafka.log"
}
