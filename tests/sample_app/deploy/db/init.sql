-- The schema of the sample application. The database image runs it once, on an empty data directory.

CREATE EXTENSION IF NOT EXISTS timescaledb;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";

-- Candles as the exchange delivers them: of one minute, and at most one a moment.
CREATE TABLE IF NOT EXISTS market_data (
    symbol      VARCHAR(20)      NOT NULL,
    interval    VARCHAR(10)      NOT NULL,
    open_price  NUMERIC(20, 8)   NOT NULL,
    high_price  NUMERIC(20, 8)   NOT NULL,
    low_price   NUMERIC(20, 8)   NOT NULL,
    close_price NUMERIC(20, 8)   NOT NULL,
    volume      DOUBLE PRECISION NOT NULL,
    timestamp   TIMESTAMPTZ      NOT NULL,
    CONSTRAINT uq_market_data UNIQUE (symbol, interval, timestamp)
);
SELECT create_hypertable('market_data', 'timestamp', if_not_exists => TRUE);

CREATE TABLE IF NOT EXISTS trading_history (
    id            UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    symbol        VARCHAR(20)    NOT NULL,
    side          VARCHAR(4)     NOT NULL CHECK (side IN ('BUY', 'SELL')),
    price         NUMERIC(20, 8) NOT NULL,
    quantity      NUMERIC(20, 8) NOT NULL,
    fee           NUMERIC(20, 8) NOT NULL DEFAULT 0,
    realized_pnl  NUMERIC(20, 8),
    strategy_name VARCHAR(50)    NOT NULL,
    regime        VARCHAR(20),
    signal_info   JSONB,
    executed_at   TIMESTAMPTZ    NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS ix_trading_history_executed_at ON trading_history (executed_at DESC);

CREATE TABLE IF NOT EXISTS positions (
    symbol    VARCHAR(20) PRIMARY KEY,
    quantity  NUMERIC(20, 8) NOT NULL,
    avg_price NUMERIC(20, 8) NOT NULL,
    opened_at TIMESTAMPTZ    NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS agent_decisions (
    id                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol            VARCHAR(20)    NOT NULL,
    strategy_name     VARCHAR(50)    NOT NULL,
    decision          VARCHAR(10)    NOT NULL CHECK (decision IN ('CONFIRM', 'REJECT')),
    reasoning         TEXT           NOT NULL,
    confidence        INTEGER        NOT NULL CHECK (confidence BETWEEN 0 AND 100),
    model_used        VARCHAR(50)    NOT NULL,
    price_at_decision NUMERIC(20, 8) NOT NULL,
    created_at        TIMESTAMPTZ    NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS ix_agent_decisions_created_at ON agent_decisions (created_at DESC);

-- One row: the money of the paper account.
CREATE TABLE IF NOT EXISTS account_state (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    balance    NUMERIC(20, 8) NOT NULL,
    updated_at TIMESTAMPTZ    NOT NULL DEFAULT now()
);

-- The closed trades of a day.
CREATE TABLE IF NOT EXISTS daily_risk_state (
    date               DATE PRIMARY KEY,
    total_pnl          NUMERIC(20, 8) NOT NULL DEFAULT 0,
    trade_count        INTEGER        NOT NULL DEFAULT 0,
    consecutive_losses INTEGER        NOT NULL DEFAULT 0,
    is_trading_halted  BOOLEAN        NOT NULL DEFAULT FALSE,
    updated_at         TIMESTAMPTZ    NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS regime_history (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol      VARCHAR(20)      NOT NULL,
    regime      VARCHAR(20)      NOT NULL,
    volatility  DOUBLE PRECISION NOT NULL,
    detected_at TIMESTAMPTZ      NOT NULL DEFAULT now()
);
