export default function Home() {
  return <h1>next serves this</h1>;
}
